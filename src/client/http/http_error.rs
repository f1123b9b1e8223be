//! The violations of HTTP that a server can commit, and their messages.

use std::fmt;

use crate::frame::escape;

/// Error of a response: the server violated HTTP/1.1, or closed the connection too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The response does not start with `HTTP/1.`; its first bytes.
    NotHttp(Vec<u8>),
    /// The response has an unsupported HTTP version.
    UnsupportedVersion(String),
    /// The head is longer than this maximum in bytes.
    HeadTooLong(usize),
    /// The head has more than this maximum number of header fields.
    TooManyFields(usize),
    /// A line of the head is malformed.
    BadHeadLine {
        /// The number of the line; the status line is 1.
        number: usize,
        /// The start of the line.
        line: Vec<u8>,
        /// The parser's message.
        cause: String,
    },
    /// The status is not 2xx, and the head is invalid.
    BadHeadWithStatus {
        /// The status code and its reason.
        status: String,
        /// The error of the head.
        error: Box<Self>,
    },
    /// The server sent more than this maximum number of interim (1xx) responses.
    TooManyInterim(u32),
    /// The server switched to another protocol (101) without a request for it.
    SwitchingProtocols,
    /// The Content-Length is not a number of bytes.
    BadContentLength(String),
    /// The Content-Length fields have different values.
    ConflictingLengths(u64, u64),
    /// The response has both Content-Length and Transfer-Encoding.
    LengthAndCoding,
    /// The Transfer-Encoding is not supported.
    UnsupportedCoding(String),
    /// An HTTP/1.0 response has a Transfer-Encoding.
    CodingInHttp10,
    /// A chunk size is not a hexadecimal number; the line.
    BadChunkSize(Vec<u8>),
    /// A chunk size does not fit in 64 bits.
    ChunkTooLarge,
    /// The data of a chunk is not followed by CRLF.
    BadChunkEnd,
    /// The chunk extensions are longer than this maximum in bytes.
    ExtensionsTooLong(usize),
    /// The trailers are longer than this maximum in bytes.
    TrailersTooLong(usize),
    /// The server sent more bytes than it declared.
    TrailingData {
        /// Declared length of the body in bytes.
        declared_bytes: u64,
    },
    /// The server closed the connection without a response.
    NoResponse,
    /// The server closed the connection inside the head.
    TruncatedHead {
        /// Bytes of the head that were received.
        received_bytes: usize,
    },
    /// The server closed the connection before the end of the declared body.
    TruncatedBody {
        /// Bytes of the body that were received.
        received_bytes: u64,
        /// Declared length of the body in bytes.
        declared_bytes: u64,
    },
    /// The server closed the connection inside a chunked body.
    TruncatedChunks {
        /// Bytes of the body that were received.
        received_bytes: u64,
    },
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp(start) => not_http(start, f),
            Self::UnsupportedVersion(version) => {
                write!(f, "unsupported HTTP version: {}; this client supports HTTP/1.1", escape::line(version))
            }
            Self::HeadTooLong(max) => {
                write!(f, "the response head is longer than the maximum of {max} bytes")
            }
            Self::TooManyFields(max) => write!(f, "the response has more than the maximum of {max} header fields"),
            Self::BadHeadLine { number, line, cause } => {
                let line = String::from_utf8_lossy(line);
                write!(f, "malformed response head: {cause} in line {number}, '{}'", escape::line(&line))
            }
            Self::BadHeadWithStatus { status, error } => write!(f, "the server responded {status}; {error}"),
            Self::TooManyInterim(max) => {
                write!(f, "the server sent more than {max} interim responses (1xx) and no final one")
            }
            Self::SwitchingProtocols => {
                f.write_str("the server switched to another protocol (101) without a request for it")
            }
            Self::BadContentLength(length) => {
                write!(f, "invalid Content-Length: '{}'", escape::line(length))
            }
            Self::ConflictingLengths(one, other) => {
                write!(f, "conflicting Content-Length values: {one} and {other}")
            }
            Self::LengthAndCoding => {
                f.write_str("the response has both Content-Length and Transfer-Encoding, so its length is ambiguous")
            }
            Self::UnsupportedCoding(coding) => {
                write!(
                    f,
                    "unsupported Transfer-Encoding: '{}'; the only supported one is chunked",
                    escape::line(coding)
                )
            }
            Self::CodingInHttp10 => f.write_str("the response has a Transfer-Encoding, which HTTP/1.0 does not define"),
            Self::BadChunkSize(line) => {
                write!(f, "invalid chunk size: '{}'", escape::line(&String::from_utf8_lossy(line)))
            }
            Self::ChunkTooLarge => f.write_str("invalid chunk size: it does not fit in 64 bits"),
            Self::BadChunkEnd => f.write_str("invalid chunk: its data or size line does not end with CRLF"),
            Self::ExtensionsTooLong(max) => {
                write!(f, "the chunk extensions are longer than the maximum of {max} bytes")
            }
            Self::TrailersTooLong(max) => write!(f, "the trailers are longer than the maximum of {max} bytes"),
            Self::TrailingData { declared_bytes } => {
                write!(f, "the server sent more than the declared {declared_bytes} bytes")
            }
            Self::NoResponse => f.write_str("the server closed the connection without a response"),
            Self::TruncatedHead { received_bytes } => {
                write!(f, "the server closed the connection inside the response head, after {received_bytes} bytes")
            }
            Self::TruncatedBody { received_bytes, declared_bytes } => {
                write!(f, "the server closed the connection after {received_bytes} of {declared_bytes} bytes")
            }
            Self::TruncatedChunks { received_bytes } => {
                write!(f, "the server closed the connection inside a chunked body, after {received_bytes} bytes")
            }
        }
    }
}

/// Writes the message for a response that is not HTTP/1, and names the protocol if its first bytes
/// identify it.
fn not_http(start: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match start {
        // A TLS alert or handshake record: RFC 8446, section 5.1.
        [0x15 | 0x16, 0x03, ..] => f.write_str("the server uses TLS, not plain HTTP: is this an https port?"),
        // A server's first HTTP/2 frame is SETTINGS: RFC 9113, section 3.4.
        [0, _, _, 0x04, ..] => f.write_str("the server uses HTTP/2; this client supports HTTP/1.1"),
        [b'<', ..] => f.write_str(
            "the server sent a document without a status line, like HTTP/0.9; this client supports HTTP/1.1, because \
             HTTP/0.9 does not mark the end of a document",
        ),
        _ => write!(
            f,
            "not an HTTP server: its response starts with '{}'",
            escape::line(&String::from_utf8_lossy(start))
        ),
    }
}

impl std::error::Error for HttpError {}
