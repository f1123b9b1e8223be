//! Errors of a download.

use std::fmt;

use crate::services::files::wire::FilesError;

/// Error of a download or a listing: the server sent no usable file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadError {
    /// The server replied with an error.
    Refused(FilesError),
    /// The reply is not valid; the text is the cause.
    InvalidReply(String),
    /// The server sends another part of the file than the one requested.
    WrongOffset {
        /// Requested offset in bytes.
        requested: u64,
        /// Offset in the reply, in bytes.
        announced: u64,
    },
    /// The server sent an empty data frame. A server could send any number of them.
    EmptyFrame,
    /// The server sent more bytes than it announced.
    TrailingData {
        /// Announced size of the file in bytes.
        size: u64,
    },
    /// The server closed the connection before the end of the file.
    TruncatedFile {
        /// Bytes of the file that the client has.
        received_bytes: u64,
        /// Announced size of the file in bytes.
        size: u64,
    },
    /// The server closed the connection without a reply.
    NoReply,
    /// The SHA-256 of the file differs from the announced one.
    ChecksumMismatch,
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(FilesError { code, text }) if text.is_empty() => write!(f, "server error: {code}"),
            Self::Refused(FilesError { code, text }) => write!(f, "{text} ({code})"),
            Self::InvalidReply(cause) => write!(f, "invalid reply from the server: {cause}"),
            Self::WrongOffset { requested, announced } => {
                write!(f, "the server starts at byte {announced} instead of the requested byte {requested}")
            }
            Self::EmptyFrame => f.write_str("the server sent an empty data frame"),
            Self::TrailingData { size } => write!(f, "the server sent more than the announced {size} bytes"),
            Self::TruncatedFile { received_bytes, size } => {
                write!(f, "the server closed the connection after {received_bytes} of {size} bytes")
            }
            Self::NoReply => f.write_str("the server closed the connection without a reply"),
            Self::ChecksumMismatch => f.write_str("the file does not have the announced SHA-256"),
        }
    }
}

impl std::error::Error for DownloadError {}
