//! The error of a run that never put a load on the server.

use std::fmt;
use std::io;

/// The reason why a load could not be put on a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The configuration is invalid. The text begins with the option's name, as in `payload: …`.
    Config(String),
    /// No connection could be opened.
    Connect(io::Error),
    /// A system call of the generator failed.
    System(io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) => f.write_str(what),
            Self::Connect(error) => write!(f, "no connection could be opened: {error}"),
            Self::System(error) => write!(f, "a system call of the load generator failed: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Connect(error) | Self::System(error) => Some(error),
        }
    }
}
