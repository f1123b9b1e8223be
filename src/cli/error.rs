//! How the program says that it cannot do what it was asked to: on one line of standard error, and with its exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use switchboard::Error;

/// Exit code of a failure that other arguments would not have had.
const EXIT_FAILED: u8 = 1;
/// Exit code of arguments that mean nothing.
pub(super) const EXIT_USAGE: u8 = 2;

/// Why the program ends without having done its work.
#[derive(Debug)]
pub(super) enum CliError {
    /// Each argument is well formed; together they mean nothing.
    Usage(String),
    /// A file that was named holds what means nothing; a line for each such thing.
    InvalidFile(String),
    /// The world did not allow it.
    Failed(String),
}

impl CliError {
    pub(super) fn report(&self) -> ExitCode {
        let mut stderr = io::stderr();
        let (written, code) = match self {
            Self::Usage(_) => (writeln!(stderr, "error: {self}; try --help"), EXIT_USAGE),
            Self::InvalidFile(what) => {
                (what.lines().try_for_each(|line| writeln!(stderr, "error: {line}")), EXIT_USAGE)
            }
            Self::Failed(_) => (writeln!(stderr, "switchboard: {self}"), EXIT_FAILED),
        };
        // Where standard error is closed, nobody can be told; the exit code still says it.
        drop(written);
        ExitCode::from(code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) | Self::InvalidFile(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match error {
            // It begins with the flag's name.
            Error::Limits(what) => Self::Usage(format!("--{what}")),
            other => Self::Failed(other.to_string()),
        }
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
