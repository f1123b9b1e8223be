//! Errors of a fetch. The messages name the limits, and the program adds its flags.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::http_error::HttpError;
use super::http_url::UrlError;
use super::response_head::ResponseHead;
use crate::frame::escape;

/// Error of a [`fetch`](super::fetch()).
#[derive(Debug)]
pub enum FetchError {
    /// The resolver found no address for the host name.
    Resolve {
        /// The host name.
        host: String,
        /// The resolver's error.
        error: io::Error,
    },
    /// The connection attempts to all addresses failed.
    Connect(Vec<(SocketAddr, io::Error)>),
    /// A timeout expired.
    Timeout {
        /// The timeout.
        kind: TimeoutKind,
        /// Its length.
        timeout: Duration,
        /// Bytes of the body received before.
        received_bytes: u64,
    },
    /// The connection failed.
    Io {
        /// The system's error.
        error: io::Error,
        /// Bytes of the body received before.
        received_bytes: u64,
    },
    /// The server violated HTTP.
    Http(HttpError),
    /// The status of the response is not 2xx.
    Status(Box<ResponseHead>),
    /// The status is a redirect, and the `Location` field is missing.
    MissingLocation(Box<ResponseHead>),
    /// The target of a redirect cannot be fetched.
    BadLocation(UrlError),
    /// A redirect leads back to this URL, which was already requested.
    RedirectLoop(String),
    /// The server sent more than this maximum number of redirects.
    TooManyRedirects(u32),
    /// The body is larger than the maximum.
    TooLarge {
        /// Maximum length of the body in bytes.
        max_bytes: u64,
        /// Length of the body in bytes, if the server declared it.
        declared_bytes: Option<u64>,
    },
    /// The [`ResponseSink`](super::ResponseSink) failed.
    Sink(io::Error),
    /// The caller cancelled the fetch.
    Cancelled,
    /// The system has no descriptor, thread or poll instance left.
    System(io::Error),
}

/// The timeouts of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// Limit on resolving the host name.
    Resolve,
    /// Limit on the time without progress: a byte sent or received.
    Stall,
    /// Limit on the whole fetch.
    Total,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { host, error } => {
                write!(f, "cannot resolve '{}': {error}", escape::line(host))
            }
            Self::Connect(tried) => {
                f.write_str("cannot connect")?;
                for (number, (addr, error)) in tried.iter().enumerate() {
                    write!(f, "{} {addr}: {}", if number == 0 { " to" } else { ", to" }, reason(error))?;
                }
                f.write_str("; is the server running?")
            }
            Self::Timeout { kind, timeout, received_bytes } => {
                let timeout = humantime::format_duration(*timeout);
                match kind {
                    TimeoutKind::Resolve => {
                        write!(f, "timeout while resolving the host name ({timeout})")
                    }
                    TimeoutKind::Stall => {
                        write!(f, "timeout: no data for {timeout} (received {received_bytes} bytes)")
                    }
                    TimeoutKind::Total => {
                        write!(f, "timeout: not complete after {timeout} (received {received_bytes} bytes)")
                    }
                }
            }
            Self::Io { error, received_bytes } => {
                write!(f, "connection lost: {} (received {received_bytes} bytes)", reason(error))
            }
            Self::Http(error) => error.fmt(f),
            Self::Status(head) => write!(f, "the server responded {}", head.status_line()),
            Self::MissingLocation(head) => {
                write!(f, "the server responded {} without a Location", head.status_line())
            }
            Self::BadLocation(error) => write!(f, "cannot follow the redirect: {error}"),
            Self::RedirectLoop(url) => write!(f, "redirect loop: the server redirects back to {}", escape::line(url)),
            Self::TooManyRedirects(max) => {
                write!(f, "the server sent more than {max} redirects")
            }
            Self::TooLarge { max_bytes, declared_bytes: Some(declared_bytes) } => {
                write!(f, "the body is too large: {declared_bytes} bytes (maximum {max_bytes})")
            }
            Self::TooLarge { max_bytes, declared_bytes: None } => {
                write!(f, "the body is too large: more than the maximum of {max_bytes} bytes")
            }
            Self::Sink(error) => write!(f, "cannot write the body: {error}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::System(error) => write!(f, "cannot create the socket or its poll: {error}"),
        }
    }
}

/// Returns the system's message without its error number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "reset by the server".to_owned(),
        io::ErrorKind::TimedOut => "connect timeout".to_owned(),
        _ => error.to_string(),
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. } | Self::Io { error, .. } | Self::Sink(error) | Self::System(error) => {
                Some(error)
            }
            Self::Http(error) => Some(error),
            Self::BadLocation(error) => Some(error),
            _ => None,
        }
    }
}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}
