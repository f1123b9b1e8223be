//! The errors of a response parser.

use std::fmt;

use super::response::{MAX_HEADER_BYTES, MAX_OUTPUT_BYTES};

/// Error of a response: it does not follow the dialect, or it is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecResponseError {
    /// The declared length is negative.
    NegativeLength(i32),
    /// The declared output is longer than [`MAX_OUTPUT_BYTES`].
    OutputTooLong(u64),
    /// The declared header is longer than the maximum (64 KiB).
    HeaderTooLong(u32),
    /// The header is not a JSON object, or it lacks the length; the text completes "the header …".
    BadHeader(String),
    /// The response does not start with `Ready|` and a length; its first characters.
    MissingReady(String),
    /// The response starts with `Ready|`, which belongs to another dialect.
    UnexpectedReady,
    /// The server sent more bytes than it declared.
    TrailingData {
        /// Declared length of the output in bytes.
        declared_bytes: usize,
    },
    /// The MD5 of the output differs from the one in the header.
    WrongChecksum,
    /// The server closed the connection inside the response.
    UnexpectedEof {
        /// The incomplete part, for the message.
        part: &'static str,
        /// Bytes of the part that were received.
        received_bytes: usize,
        /// Length of the part in bytes, if known.
        expected_bytes: Option<usize>,
    },
}

impl fmt::Display for ExecResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIALECT: &str = "; does the server speak another dialect?";
        match self {
            Self::NegativeLength(length) => write!(f, "invalid response length: {length} bytes{DIALECT}"),
            Self::OutputTooLong(length) => {
                write!(f, "response too large: {length} bytes (maximum {MAX_OUTPUT_BYTES}){DIALECT}")
            }
            Self::HeaderTooLong(length) => {
                write!(f, "response header too large: {length} bytes (maximum {MAX_HEADER_BYTES}){DIALECT}")
            }
            Self::BadHeader(cause) => write!(f, "invalid response header: it {cause}{DIALECT}"),
            Self::MissingReady(start) => write!(f, "the response starts with '{start}' instead of Ready|{DIALECT}"),
            Self::UnexpectedReady => {
                f.write_str("the response starts with Ready|: the server speaks the dialect ready")
            }
            Self::TrailingData { declared_bytes } => {
                write!(f, "the server sent more than the declared {declared_bytes} bytes{DIALECT}")
            }
            Self::WrongChecksum => f.write_str("the output does not have the MD5 in the header: repeat the request"),
            Self::UnexpectedEof { part, received_bytes: 0, expected_bytes: None } => {
                write!(f, "the server closed the connection before {part}")
            }
            Self::UnexpectedEof { part, received_bytes, expected_bytes: Some(expected_bytes) } => {
                write!(f, "the server closed the connection after {received_bytes} of {expected_bytes} bytes of {part}")
            }
            Self::UnexpectedEof { part, received_bytes, expected_bytes: None } => {
                write!(f, "the server closed the connection after {received_bytes} bytes of {part}")
            }
        }
    }
}

impl std::error::Error for ExecResponseError {}
