//! Errors of the program: a line on standard error and an exit code.

use std::fmt;
use std::process::ExitCode;

use switchboard::Error;

use super::terminal::stderr;

/// Exit code of a run-time error, such as an address in use.
const EXIT_FAILED: u8 = 1;
/// Exit code of wrong arguments and of wrong files that they name.
pub(super) const EXIT_USAGE: u8 = 2;

/// An error that ends the program.
#[derive(Debug)]
pub(super) enum CliError {
    /// Arguments that contradict each other or the system.
    Usage(String),
    /// Errors in a file that the arguments name, one a line.
    InvalidFile(String),
    /// A run-time error.
    Failed(String),
}

impl CliError {
    /// Returns the error with the position of its cause, such as `FILE:LINE`, in front of its text.
    pub(super) fn with_prefix(self, position: Option<&str>) -> Self {
        let prefixed = |message| match position {
            Some(position) => format!("{position}: {message}"),
            None => message,
        };
        match self {
            Self::Usage(message) => Self::Usage(prefixed(message)),
            Self::InvalidFile(message) => Self::InvalidFile(prefixed(message)),
            Self::Failed(message) => Self::Failed(prefixed(message)),
        }
    }

    /// Writes the error to standard error and returns its exit code.
    pub(super) fn report(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) => {
                stderr::print_line(&format!("error: {self}; try --help"));
                EXIT_USAGE
            }
            Self::InvalidFile(message) => {
                message.lines().for_each(|line| stderr::print_line(&format!("error: {line}")));
                EXIT_USAGE
            }
            Self::Failed(_) => {
                stderr::print_line(&format!("switchboard: {self}"));
                EXIT_FAILED
            }
        };
        // If standard error is closed, the exit code alone reports the error.
        ExitCode::from(code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::InvalidFile(message) | Self::Failed(message) => f.write_str(message),
        }
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match error {
            Error::Limits { name, requirement } => Self::Usage(format!("--{name} {requirement}")),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Returns the text of a system's error without its number: `(os error 98)`.
pub(super) fn without_number(error: &impl fmt::Display) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// Returns the error and the tips of clap's rendered error on one line.
///
/// clap adds a synopsis of every option. In a small terminal the error itself would scroll out of
/// sight.
pub(super) fn first_line(rendered: &str) -> String {
    let mut line = String::new();
    for paragraph in rendered.split("\n\n") {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        match words.split_first() {
            Some((&"error:", message)) => line = message.join(" "),
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
    fn first_line_joins_error_and_tips() {
        for (rendered, line) in [
            ("error: no\n\nUsage: switchboard\n\nFor more information, try '--help'.\n", "no"),
            ("error: were not provided:\n  <SHELL>\n\nUsage: x\n", "were not provided: <SHELL>"),
            ("error: unexpected '--x'\n\n  tip: write '--y'\n\nUsage: x\n", "unexpected '--x'; tip: write '--y'"),
        ] {
            assert_eq!(first_line(rendered), line);
        }
    }
}
