//! The error of an engine that cannot start or cannot continue.

use std::{fmt, io};

use crate::engine::stats::Stats;
use crate::net::Endpoint;

/// The reason why an engine could not start, or had to stop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The engine cannot listen on an address.
    Bind {
        /// The requested address.
        endpoint: Endpoint,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The console's input or output cannot be opened in nonblocking form.
    Attach(io::Error),
    /// A limit is out of its range, or contradicts another limit.
    Limits {
        /// The limit's name on the command line.
        name: &'static str,
        /// The rule that it breaks, such as "must be at least 1".
        requirement: &'static str,
    },
    /// Creating the poll instance or its waker failed, or a poll call did.
    Poll(io::Error),
    /// A thread that the engine requires could not be started.
    Thread(io::Error),
    /// Every service that peers can reach was stopped, because it panicked repeatedly. The engine
    /// has drained.
    ServicesStopped {
        /// The engine's counters at its end.
        stats: Box<Stats>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { endpoint, source } => {
                write!(f, "cannot listen on {endpoint}: {}", WithoutErrorNumber(source))?;
                let is_path = matches!(endpoint, Endpoint::Unix(_));
                f.write_str(match source.kind() {
                    io::ErrorKind::AddrInUse if is_path => {
                        "; another server listens there, or the file is not a socket"
                    }
                    io::ErrorKind::AddrInUse => {
                        "; stop the program that uses it, or choose another port (0 selects a free one)"
                    }
                    io::ErrorKind::PermissionDenied if is_path => "; choose a directory that this user may write to",
                    io::ErrorKind::PermissionDenied => {
                        "; ports below 1024 need a privilege: choose another port, or grant CAP_NET_BIND_SERVICE"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "; this machine does not have that address: 127.0.0.1, [::1], 0.0.0.0 and [::] always work"
                    }
                    _ => "",
                })
            }
            Self::Attach(source) => {
                write!(f, "cannot attach the console: {}", WithoutErrorNumber(source))?;
                f.write_str(match source.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "; the terminal or pipe belongs to another user: redirect input and output, for example through cat"
                    }
                    io::ErrorKind::Unsupported => "; use a terminal, a pipe, a socket or a file",
                    _ => "",
                })
            }
            Self::Limits { name, requirement } => write!(f, "invalid limit: {name} {requirement}"),
            Self::Poll(source) => write!(f, "poll failed: {source}"),
            Self::Thread(source) => write!(f, "cannot start a thread: {source}"),
            Self::ServicesStopped { .. } => {
                f.write_str("every service was stopped after repeated panics; the log has their place")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Attach(source) | Self::Poll(source) | Self::Thread(source) => {
                Some(source)
            }
            Self::Limits { .. } | Self::ServicesStopped { .. } => None,
        }
    }
}

/// The display of an I/O error without its `(os error 98)`.
struct WithoutErrorNumber<'a>(&'a io::Error);

impl fmt::Display for WithoutErrorNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}
