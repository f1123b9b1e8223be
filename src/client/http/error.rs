//! Why nothing was fetched, in words that say what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::fault::Fault;
use super::head::Head;
use super::target::BadUrl;
use crate::frame::escape;

/// Why a fetch failed.
#[derive(Debug)]
pub enum FetchError {
    /// The host's name has no address that could be found out.
    Unresolved {
        /// The name.
        host: String,
        /// What the system says about it.
        error: io::Error,
    },
    /// None of the host's addresses answers.
    Unreachable(Vec<(SocketAddr, io::Error)>),
    /// Something took too long.
    TimeLimit {
        /// What.
        limit: TimeLimit,
        /// How long it was given.
        allowed: Duration,
        /// Bytes of the body that had come.
        received: u64,
    },
    /// The connection broke.
    Broken {
        /// What the system says.
        error: io::Error,
        /// Bytes of the body that had come.
        received: u64,
    },
    /// The answer is wrong in itself.
    Fault(Fault),
    /// The answer is that there is nothing to be had.
    Status(Box<Head>),
    /// The server sends us elsewhere and does not say where.
    Nowhere(Box<Head>),
    /// The server sends us where nothing can be fetched from.
    Astray(BadUrl),
    /// The server sends us in a circle, back to here.
    Circle(String),
    /// The server sends us on more often than this.
    TooManyRedirects(u32),
    /// The body has more bytes than it may have.
    TooLarge {
        /// It may have so many.
        max_bytes: u64,
        /// It has so many, where the server says so.
        promised: Option<u64>,
    },
    /// Its bytes could not be handed on.
    Sink(io::Error),
    /// It was told to stop.
    Stopped,
    /// The system has no descriptor, thread or poll to give.
    System(io::Error),
}

/// A limit on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// For looking the name up.
    Resolve,
    /// For one byte to come, or to be taken.
    Stall,
    /// For everything.
    Whole,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved { host, error } => {
                write!(f, "cannot find out the address of '{}': {error}", escape::line(host))
            }
            Self::Unreachable(tried) => {
                f.write_str("cannot connect")?;
                for (number, (addr, error)) in tried.iter().enumerate() {
                    write!(f, "{} {addr}: {}", if number == 0 { " to" } else { ", nor to" }, reason(error))?;
                }
                f.write_str("; is the server running?")
            }
            Self::TimeLimit { limit, allowed, received } => {
                let allowed = humantime::format_duration(*allowed);
                match limit {
                    TimeLimit::Resolve => {
                        write!(f, "the host's name was not looked up within {allowed}")
                    }
                    TimeLimit::Stall => {
                        write!(f, "nothing came for {allowed}, after {received} bytes")
                    }
                    TimeLimit::Whole => {
                        write!(f, "not done within {allowed}, after {received} bytes")
                    }
                }
            }
            Self::Broken { error, received } => {
                write!(f, "the connection broke after {received} bytes: {}", reason(error))
            }
            Self::Fault(fault) => fault.fmt(f),
            Self::Status(head) => write!(f, "the server answers {}", head.status_in_words()),
            Self::Nowhere(head) => {
                write!(f, "the server answers {} and does not say where to look", head.status_in_words())
            }
            Self::Astray(error) => write!(f, "the server sends us elsewhere, but {error}"),
            Self::Circle(url) => write!(f, "the server sends us in a circle, back to {}", escape::line(url)),
            Self::TooManyRedirects(max) => {
                write!(f, "the server sends us on more than {max} times")
            }
            Self::TooLarge { max_bytes, promised: Some(promised) } => {
                write!(f, "it has {promised} bytes, and may have {max_bytes}")
            }
            Self::TooLarge { max_bytes, promised: None } => {
                write!(f, "it has more than {max_bytes} bytes, and may have no more")
            }
            Self::Sink(error) => write!(f, "cannot write what came: {error}"),
            Self::Stopped => f.write_str("stopped"),
            Self::System(error) => write!(f, "the system does not give what it takes to connect: {error}"),
        }
    }
}

/// What the system says, without its number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "reset by the server".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unresolved { error, .. } | Self::Broken { error, .. } | Self::Sink(error) | Self::System(error) => {
                Some(error)
            }
            Self::Fault(fault) => Some(fault),
            Self::Astray(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Fault> for FetchError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
