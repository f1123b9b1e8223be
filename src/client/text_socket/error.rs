//! What can go wrong with a text in a datagram, so that a program can tell one thing from another.

use std::net::SocketAddr;
use std::{fmt, io};

use crate::frame::{TextEncoding, UnencodableError};

/// Why a text was not sent, or none was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum TextSocketError {
    /// A datagram came that is no text in the socket's encoding.
    Undecodable {
        /// The datagram.
        bytes: Vec<u8>,
        /// Who sent it.
        from: SocketAddr,
        /// What it is not.
        encoding: TextEncoding,
    },
    /// A datagram came that is larger than the socket's bound.
    Truncated {
        /// Its beginning, as many bytes as the bound allows.
        bytes: Vec<u8>,
        /// How many bytes it had, where the system says it (Linux does).
        sent_bytes: Option<usize>,
        /// Who sent it.
        from: SocketAddr,
    },
    /// The encoding has no bytes for a character of the text; nothing was sent.
    UnencodableError(UnencodableError),
    /// The text is more than a datagram carries to where it was to go; nothing was sent.
    TooLarge {
        /// Bytes of the text.
        bytes: usize,
        /// The most that can be sent there, in bytes: 65,507 over IPv4, 65,527 over IPv6, less where a path carries less and the
        /// system knows it.
        max_bytes: usize,
    },
    /// Nothing has come in the time that was set.
    Timeout,
    /// What the system said.
    Io(io::Error),
}

impl fmt::Display for TextSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable { bytes, from, encoding } => {
                write!(f, "the {} bytes from {from} are no text in {encoding}", bytes.len())
            }
            Self::Truncated { bytes, sent_bytes: Some(sent), from } => {
                write!(f, "the datagram from {from} has {sent} bytes, and at most {} are taken", bytes.len())
            }
            Self::Truncated { bytes, sent_bytes: None, from } => {
                write!(f, "the datagram from {from} has more than the {} bytes that are taken", bytes.len())
            }
            Self::UnencodableError(unwritable) => unwritable.fmt(f),
            Self::TooLarge { bytes, max_bytes } => {
                write!(f, "{bytes} bytes are too many for one datagram: at most {max_bytes} can be sent there")
            }
            Self::Timeout => f.write_str("nothing has come in time"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TextSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnencodableError(unwritable) => Some(unwritable),
            Self::Io(error) => Some(error),
            Self::Undecodable { .. } | Self::Truncated { .. } | Self::TooLarge { .. } | Self::Timeout => None,
        }
    }
}

impl From<UnencodableError> for TextSocketError {
    fn from(unwritable: UnencodableError) -> Self {
        Self::UnencodableError(unwritable)
    }
}

impl From<io::Error> for TextSocketError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Unix says the one and Windows the other when a time limit is over.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

/// Whether the system refused to send so much at once.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    #[cfg(unix)]
    let code = rustix::io::Errno::MSGSIZE.raw_os_error();
    // WSAEMSGSIZE
    #[cfg(not(unix))]
    let code = 10_040;
    error.raw_os_error() == Some(code)
}
