//! Errors of decoding and encoding, each in words that say what to do next.

use std::fmt;

/// Why received bytes cannot be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The prefix declares more than the limit.
    TooLarge {
        /// Payload bytes that the prefix declares.
        declared_bytes: u64,
        /// The limit in force.
        max_frame_bytes: usize,
        /// What the bytes were if they were not frames at all.
        looks_like: Option<LooksLike>,
    },
    /// The prefix, with the framing's adjustment, declares a frame that ends before its own head does.
    TooShort {
        /// The value of the length field.
        declared: u64,
    },
    /// A line went on past the limit.
    LineTooLong {
        /// The limit in force.
        max_frame_bytes: usize,
    },
    /// A varint of more than ten bytes, or one above 64 bits.
    VarintTooLong,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { declared_bytes, max_frame_bytes, looks_like } => write!(
                f,
                "a frame of {declared_bytes} bytes is declared, at most {max_frame_bytes} are allowed{}",
                Hint(*looks_like)
            ),
            Self::TooShort { declared } => {
                write!(f, "a length of {declared} is declared, which ends before the frame's own head does")
            }
            Self::LineTooLong { max_frame_bytes } => {
                write!(f, "a line is longer than the {max_frame_bytes} bytes allowed")
            }
            Self::VarintTooLong => f.write_str("a length prefix is no varint: it goes on past 64 bits"),
        }
    }
}

impl std::error::Error for FrameError {}

/// What bytes on a length-prefixed port turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LooksLike {
    /// Text typed by a person or a line-based client.
    Text,
    /// An HTTP request.
    Http,
    /// A TLS handshake.
    Tls,
}

/// The end of a sentence about bytes that were not frames: `; they look like …`.
pub(crate) struct Hint(pub(crate) Option<LooksLike>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "",
            Some(LooksLike::Text) => "; the bytes look like text: this port wants length-prefixed frames",
            Some(LooksLike::Http) => "; the bytes look like HTTP: this port wants length-prefixed frames",
            Some(LooksLike::Tls) => "; the bytes look like TLS: this port wants length-prefixed frames in the clear",
        })
    }
}

/// Why a payload cannot be put into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload's length does not fit the prefix.
    TooLong {
        /// The payload's length.
        payload_bytes: usize,
        /// The most that the framing carries.
        max_bytes: u64,
    },
    /// The framing keeps part of its head in the payload, and the payload is shorter than that part.
    TooShort {
        /// The payload's length.
        payload_bytes: usize,
        /// The least that the framing carries.
        min_bytes: u64,
    },
    /// The payload holds a line feed, which would end the line early.
    LineFeedInLine,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { payload_bytes, max_bytes } => {
                write!(f, "{payload_bytes} bytes do not fit a framing that carries at most {max_bytes}")
            }
            Self::TooShort { payload_bytes, min_bytes } => {
                write!(f, "{payload_bytes} bytes are too few for a framing that needs at least {min_bytes}")
            }
            Self::LineFeedInLine => f.write_str("a line feed within the text would end its line early"),
        }
    }
}

impl std::error::Error for EncodeError {}
