//! Errors of decoding and encoding. Each message names the limit or the next step.

use std::fmt;

/// The reason why received bytes cannot be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The prefix declares a payload larger than the limit.
    TooLarge {
        /// Payload bytes that the prefix declares.
        declared_bytes: u64,
        /// The limit in force.
        max_frame_bytes: usize,
        /// A guess at the protocol of the bytes, if they resemble another one.
        looks_like: Option<LooksLike>,
    },
    /// The prefix, with the framing's adjustment, declares a frame that ends inside its own header.
    TooShort {
        /// The value of the length field.
        declared: u64,
    },
    /// A line is longer than the limit.
    LineTooLong {
        /// The limit in force.
        max_frame_bytes: usize,
    },
    /// A varint prefix has more than ten bytes or exceeds 64 bits.
    VarintTooLong,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { declared_bytes, max_frame_bytes, looks_like } => write!(
                f,
                "frame too large: {declared_bytes} bytes declared, {max_frame_bytes} allowed{}",
                Hint(*looks_like)
            ),
            Self::TooShort { declared } => {
                write!(f, "frame too short: the declared length {declared} ends inside the frame's header")
            }
            Self::LineTooLong { max_frame_bytes } => {
                write!(f, "line too long: more than the {max_frame_bytes} bytes allowed")
            }
            Self::VarintTooLong => f.write_str("invalid varint prefix: longer than 64 bits"),
        }
    }
}

impl std::error::Error for FrameError {}

/// A guess at the protocol of bytes that are not length-prefixed frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LooksLike {
    /// Text, as a line-based client sends it.
    Text,
    /// An HTTP request.
    Http,
    /// A TLS handshake.
    Tls,
}

/// The end of an error message, with the guess: `; the bytes look like …`.
pub(crate) struct Hint(pub(crate) Option<LooksLike>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "",
            Some(LooksLike::Text) => "; the bytes look like text: this port expects length-prefixed frames",
            Some(LooksLike::Http) => "; the bytes look like HTTP: this port expects length-prefixed frames",
            Some(LooksLike::Tls) => "; the bytes look like TLS: this port expects length-prefixed frames without TLS",
        })
    }
}

/// The reason why a payload cannot be encoded as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload's length does not fit the prefix.
    TooLong {
        /// The payload's length, in bytes.
        payload_bytes: usize,
        /// The largest payload of the framing, in bytes.
        max_bytes: u64,
    },
    /// Part of the frame's header belongs to the payload, and the payload is shorter than that
    /// part.
    TooShort {
        /// The payload's length, in bytes.
        payload_bytes: usize,
        /// The smallest payload of the framing, in bytes.
        min_bytes: u64,
    },
    /// The payload contains a line feed, which would end the line early.
    LineFeedInLine,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { payload_bytes, max_bytes } => {
                write!(f, "payload too long: {payload_bytes} bytes, and the framing carries at most {max_bytes}")
            }
            Self::TooShort { payload_bytes, min_bytes } => {
                write!(f, "payload too short: {payload_bytes} bytes, and the framing needs at least {min_bytes}")
            }
            Self::LineFeedInLine => f.write_str("payload contains a line feed, which would end its line early"),
        }
    }
}

impl std::error::Error for EncodeError {}
