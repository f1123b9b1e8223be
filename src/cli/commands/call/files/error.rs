//! The reasons why a request to a files server ends without success.

use std::process::ExitCode;

use switchboard::client::files::DownloadError;
use switchboard::escape;

use crate::cli::error::CliError;
use crate::cli::process::Interrupt;

/// The reason why a request ended early.
pub(super) enum CallFilesError {
    /// A signal asked the program to end.
    Interrupted,
    /// The reader of standard output closed it, as in `get NAME -o - | head`. That is not a
    /// failure.
    OutputClosed,
    /// The server's reply is an error, or invalid.
    Reply(DownloadError),
    /// The first reply is already invalid, so the server may use another dialect.
    FirstReply(DownloadError),
    /// Any other failure.
    Failed(CliError),
}

impl CallFilesError {
    /// Marks an invalid reply as the first one.
    pub(super) fn of_first_reply(self) -> Self {
        match self {
            Self::Reply(error @ (DownloadError::NoReply | DownloadError::InvalidReply(_))) => Self::FirstReply(error),
            other => other,
        }
    }

    /// Returns the program's result. `task` begins the error message, as in "cannot get NAME".
    pub(super) fn into_exit_code(self, task: &str, interrupt: Option<&Interrupt>) -> Result<ExitCode, CliError> {
        match self {
            Self::OutputClosed => Ok(ExitCode::SUCCESS),
            Self::Interrupted => Ok(interrupt.and_then(Interrupt::exit_code).unwrap_or(ExitCode::FAILURE)),
            Self::Reply(error) => Err(CliError::Failed(format!("{task}: {}", escape::line(&error.to_string())))),
            Self::FirstReply(error) => Err(CliError::Failed(format!(
                "{task}: {}; check whether the server uses --dialect plain",
                escape::line(&error.to_string())
            ))),
            Self::Failed(error) => Err(error),
        }
    }
}

impl From<CliError> for CallFilesError {
    fn from(error: CliError) -> Self {
        Self::Failed(error)
    }
}

impl From<DownloadError> for CallFilesError {
    fn from(error: DownloadError) -> Self {
        Self::Reply(error)
    }
}
