//! How the program says that it cannot do what it was asked to: on one line of standard error, and with its exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use switchboard::Error;

use super::output;

/// Exit code of a failure that other arguments would not have had.
const FAILED: u8 = 1;
/// Exit code of arguments that mean nothing.
const USAGE: u8 = 2;

/// Why the program ends without having done its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// Each argument is well formed; together they mean nothing.
    Usage(String),
    /// A file that was named holds what means nothing; a line for each such thing.
    File(String),
    /// The world did not allow it.
    Failed(String),
}

impl Failure {
    pub(super) fn report(&self) -> ExitCode {
        let mut stderr = io::stderr();
        let (written, code) = match self {
            Self::Usage(_) => (writeln!(stderr, "error: {self}; try --help"), USAGE),
            Self::File(what) => (what.lines().try_for_each(|line| writeln!(stderr, "error: {line}")), USAGE),
            Self::Failed(_) => (writeln!(stderr, "switchboard: {self}"), FAILED),
        };
        // Where standard error is closed, nobody can be told; the exit code still says it.
        drop(written);
        ExitCode::from(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) | Self::File(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // It begins with the flag's name.
            Error::Limits(what) => Self::Usage(format!("--{what}")),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Answers what the parser did not take for a command: a question for help or for the version, or a mistake.
pub(super) fn answer(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match output::unless_nobody_reads(error.print()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        _ => Failure::Usage(first_line(&error.to_string())).report(),
    }
}

/// The parser spreads a mistake over several lines and ends with a synopsis of every option, under which the mistake scrolls
/// away. What says something about the mistake is put on one line.
pub(super) fn first_line(rendered: &str) -> String {
    let mut line = String::new();
    for paragraph in rendered.split("\n\n") {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        match words.split_first() {
            Some((&"error:", what)) => line = what.join(" "),
            Some((&"tip:", _)) => line = format!("{line}; {}", words.join(" ")),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_put_on_one_line() {
        for (rendered, line) in [
            ("error: no\n\nUsage: switchboard\n\nFor more information, try '--help'.\n", "no"),
            ("error: were not provided:\n  <SHELL>\n\nUsage: x\n", "were not provided: <SHELL>"),
            ("error: unexpected '--x'\n\n  tip: write '--y'\n\nUsage: x\n", "unexpected '--x'; tip: write '--y'"),
        ] {
            assert_eq!(first_line(rendered), line);
        }
    }
}
