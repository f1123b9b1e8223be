//! The reasons why a run has no result.

use std::io;

use switchboard::Endpoint;
use switchboard::load::LoadError;

use crate::cli::error::CliError;

/// The reason why a run has no result.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The load is impossible. The text begins with the option's name.
    Config(String),
    /// This machine or the server cannot provide the connections of the load.
    Unavailable(String),
    /// The measurement itself failed, so another run would fail too.
    Failed(String),
}

impl From<LoadError> for RunError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Config(text) => Self::Config(text),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Config(text) => Self::Usage(format!("--{text}")),
            RunError::Unavailable(text) | RunError::Failed(text) => Self::Failed(text),
        }
    }
}

impl RunError {
    /// Returns the error for a load that could not start, with advice.
    pub(super) fn of_load(error: LoadError, target: &Endpoint) -> Self {
        let LoadError::Connect(error) = error else { return error.into() };
        let advice = match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                "; check that a server listens there, or leave out the address to have bench start a server"
            }
            io::ErrorKind::TimedOut if matches!(target, Endpoint::Unix(_)) => {
                "; the server is busy, or does not accept connections any more"
            }
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "; check the address and the firewall"
            }
            io::ErrorKind::AddrNotAvailable => {
                "; this machine has no free local ports for more connections to one address"
            }
            io::ErrorKind::PermissionDenied => "; check that this user may connect there",
            _ => "",
        };
        Self::Unavailable(format!("cannot connect to {target}: {error}{advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_about_a_timeout_fits_the_transport() {
        for (target, advice) in [
            ("unix:/x", "; the server is busy, or does not accept connections any more"),
            ("127.0.0.1:7000", "; check the address and the firewall"),
        ] {
            let error = LoadError::Connect(io::ErrorKind::TimedOut.into());
            let RunError::Unavailable(text) = RunError::of_load(error, &target.parse().unwrap()) else { panic!() };
            assert!(text.ends_with(advice), "{text}");
        }
    }
}
