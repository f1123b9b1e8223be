//! The error of an engine that cannot start or cannot go on.

use std::{fmt, io};

use crate::net::Endpoint;

/// Why an engine could not start, or had to stop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be listened on.
    Bind {
        /// The address asked for.
        endpoint: Endpoint,
        /// What the operating system said.
        source: io::Error,
    },
    /// A console's input or output cannot be had in a way that never waits.
    Attach(io::Error),
    /// A limit contradicts itself or another.
    Limits(&'static str),
    /// The operating system refused the poll instance, its waker, or a wait on them.
    Poll(io::Error),
    /// The operating system refused a thread that the engine cannot do without.
    Thread(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { endpoint, source } => {
                write!(f, "cannot listen on {endpoint}: {}", Bare(source))?;
                let is_path = matches!(endpoint, Endpoint::Unix(_));
                f.write_str(match source.kind() {
                    io::ErrorKind::AddrInUse if is_path => "; a server listens there, or the file is no socket",
                    io::ErrorKind::AddrInUse => {
                        "; stop the program that holds it, or choose another port (0 takes any free one)"
                    }
                    io::ErrorKind::PermissionDenied if is_path => "; choose a directory that this user may write to",
                    io::ErrorKind::PermissionDenied => {
                        "; ports below 1024 need privileges: choose another, or grant them (CAP_NET_BIND_SERVICE)"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "; this machine has no such address: 127.0.0.1, [::1], 0.0.0.0 and [::] always work"
                    }
                    _ => "",
                })
            }
            Self::Attach(source) => {
                write!(f, "cannot attach the console: {}", Bare(source))?;
                f.write_str(match source.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "; its terminal or pipe belongs to another user: redirect input and output, through cat for example"
                    }
                    io::ErrorKind::Unsupported => "; give it a terminal, a pipe, a socket or a file",
                    _ => "",
                })
            }
            Self::Limits(what) => write!(f, "bad limits: {what}"),
            Self::Poll(source) => write!(f, "the operating system refused to poll: {source}"),
            Self::Thread(source) => write!(f, "the operating system refused to start a thread: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Attach(source) | Self::Poll(source) | Self::Thread(source) => {
                Some(source)
            }
            Self::Limits(_) => None,
        }
    }
}

/// An I/O error without the `(os error 98)` that says nothing to a person.
struct Bare<'a>(&'a io::Error);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}
