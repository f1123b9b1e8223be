//! What a server did that HTTP does not allow, in words.

use std::fmt;

use crate::frame::escape;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin as an answer of HTTP/1 does, but with these bytes.
    NotHttp(Vec<u8>),
    /// It is an answer of an HTTP that is not spoken here.
    Version(String),
    /// Its head is longer than this many bytes.
    HeadTooLong(usize),
    /// Its head has more than this many fields.
    TooManyFields(usize),
    /// Its head is none: what the parser said.
    BadHead(String),
    /// More interim answers than this came before the real one.
    TooManyInterims(u32),
    /// It changes to another protocol, unasked.
    Switched,
    /// The length that it promises is none.
    BadLength(String),
    /// It promises several lengths.
    Lengths(u64, u64),
    /// It promises a length and chunks.
    LengthAndChunks,
    /// Its body is encoded in a way that nobody asked for.
    Coding(String),
    /// Chunks came by HTTP/1.0, which has none.
    OldChunks,
    /// The size of a chunk is none.
    BadChunkSize(Vec<u8>),
    /// A chunk is larger than can be counted.
    ChunkTooLarge,
    /// A chunk does not end where it said.
    BadChunkEnd,
    /// There are more than this many bytes of chunk extensions.
    ExtensionsTooLong(usize),
    /// There are more than this many bytes of trailers.
    TrailersTooLong(usize),
    /// More came than was promised.
    Surplus {
        /// Bytes of the body.
        promised: u64,
    },
    /// The server closed without a word.
    Silent,
    /// The server closed in the middle of the head.
    HeadCut {
        /// Bytes of it that came.
        received: usize,
    },
    /// The server closed before it had sent what it promised.
    Short {
        /// Bytes of the body that came.
        received: u64,
        /// And were to come.
        promised: u64,
    },
    /// The server closed in the middle of chunks.
    ChunksCut {
        /// Bytes of the body that came.
        received: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp(began) => not_http(began, f),
            Self::Version(version) => {
                write!(f, "the server answers in {}, and HTTP/1.1 is spoken here", escape::line(version))
            }
            Self::HeadTooLong(max) => {
                write!(f, "the head of the answer has more than {max} bytes, and may have no more")
            }
            Self::TooManyFields(max) => write!(f, "the answer has more than {max} header fields, and may have no more"),
            Self::BadHead(what) => write!(f, "the head of the answer is malformed: {what}"),
            Self::TooManyInterims(max) => {
                write!(f, "the server sent more than {max} interim answers (1xx) and no real one")
            }
            Self::Switched => f.write_str("the server changes to another protocol (101), which nobody asked for"),
            Self::BadLength(length) => {
                write!(f, "the answer's Content-Length is no length: '{}'", escape::line(length))
            }
            Self::Lengths(one, other) => {
                write!(f, "the answer has several Content-Lengths, {one} and {other}, so its end is anybody's guess")
            }
            Self::LengthAndChunks => {
                f.write_str("the answer has a Content-Length and a Transfer-Encoding, so its end is anybody's guess")
            }
            Self::Coding(coding) => {
                write!(f, "the answer's Transfer-Encoding is '{}', which nobody asked for", escape::line(coding))
            }
            Self::OldChunks => {
                f.write_str("the answer is in HTTP/1.0 and has a Transfer-Encoding, which HTTP/1.0 has not")
            }
            Self::BadChunkSize(line) => {
                write!(f, "the size of a chunk is no number: '{}'", escape::line(&String::from_utf8_lossy(line)))
            }
            Self::ChunkTooLarge => f.write_str("the size of a chunk is more than can be counted"),
            Self::BadChunkEnd => f.write_str("a chunk does not end where its size says"),
            Self::ExtensionsTooLong(max) => {
                write!(f, "the chunks have more than {max} bytes of extensions, and may have no more")
            }
            Self::TrailersTooLong(max) => write!(f, "the trailers have more than {max} bytes, and may have no more"),
            Self::Surplus { promised } => {
                write!(f, "the server promised {promised} bytes and sent more, so one of the two is wrong")
            }
            Self::Silent => f.write_str("the server closed the connection without an answer"),
            Self::HeadCut { received } => {
                write!(f, "the server closed the connection in the middle of the answer's head, after {received} bytes")
            }
            Self::Short { received, promised } => {
                write!(f, "the server promised {promised} bytes and closed the connection after {received}")
            }
            Self::ChunksCut { received } => {
                write!(f, "the server closed the connection in the middle of a chunked answer, after {received} bytes")
            }
        }
    }
}

/// Who it may be instead.
fn not_http(began: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match began {
        // An alert or a handshake record: RFC 8446, section 5.1.
        [0x15 | 0x16, 0x03, ..] => f.write_str("the server speaks TLS there, not plain HTTP: is it an https port?"),
        // Every server's first frame is SETTINGS: RFC 9113, section 3.4.
        [0, _, _, 0x04, ..] => f.write_str("the server speaks HTTP/2 there, and HTTP/1.1 is spoken here"),
        [b'<', ..] => f.write_str(
            "the server sent a document without a status line, as HTTP/0.9 did; HTTP/1.1 is spoken here, so it would not be \
             known whether it is whole",
        ),
        _ => write!(f, "that is no HTTP server: its answer begins with '{}'", escape::line(&String::from_utf8_lossy(began))),
    }
}

impl std::error::Error for Fault {}
