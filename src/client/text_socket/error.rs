//! Errors of a text socket.

use std::net::SocketAddr;
use std::{fmt, io};

use crate::frame::{TextEncoding, UnencodableError};

/// Error of sending or receiving a text.
#[derive(Debug)]
#[non_exhaustive]
pub enum TextSocketError {
    /// A received datagram is not valid text in the socket's encoding.
    InvalidText {
        /// The content of the datagram.
        bytes: Vec<u8>,
        /// The sender.
        from: SocketAddr,
        /// The encoding of the socket.
        encoding: TextEncoding,
    },
    /// A received datagram is larger than the socket's limit.
    Truncated {
        /// The start of the datagram, cut at the limit.
        bytes: Vec<u8>,
        /// Size of the datagram in bytes, if the system reports it (Linux does).
        datagram_bytes: Option<usize>,
        /// The sender.
        from: SocketAddr,
    },
    /// The encoding lacks a character of the text. The text is not sent.
    Unencodable(UnencodableError),
    /// The text exceeds the maximum size of a datagram. The text is not sent.
    TooLarge {
        /// Length of the encoded text in bytes.
        text_bytes: usize,
        /// Maximum payload in bytes: 65,507 over IPv4, 65,527 over IPv6, or less if the kernel
        /// knows a smaller path MTU.
        max_bytes: usize,
    },
    /// The read timeout expired.
    Timeout,
    /// The system's error.
    Io(io::Error),
}

impl fmt::Display for TextSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidText { bytes, from, encoding } => {
                write!(f, "invalid {encoding} text from {from} ({} bytes)", bytes.len())
            }
            Self::Truncated { bytes, datagram_bytes: Some(datagram_bytes), from } => {
                write!(f, "datagram from {from} too large: {datagram_bytes} bytes (maximum {})", bytes.len())
            }
            Self::Truncated { bytes, datagram_bytes: None, from } => {
                write!(f, "datagram from {from} too large: more than the maximum of {} bytes", bytes.len())
            }
            Self::Unencodable(error) => error.fmt(f),
            Self::TooLarge { text_bytes, max_bytes } => {
                write!(f, "text too large for one datagram: {text_bytes} bytes (maximum {max_bytes})")
            }
            Self::Timeout => f.write_str("timeout: no datagram received"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TextSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unencodable(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::InvalidText { .. } | Self::Truncated { .. } | Self::TooLarge { .. } | Self::Timeout => None,
        }
    }
}

impl From<UnencodableError> for TextSocketError {
    fn from(error: UnencodableError) -> Self {
        Self::Unencodable(error)
    }
}

impl From<io::Error> for TextSocketError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // An expired SO_RCVTIMEO is EAGAIN.
            io::ErrorKind::WouldBlock => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

/// Returns true if the system rejected the datagram because of its size.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}
