//! The reason why a connection ended, with the words that the log shows.

use std::borrow::Cow;
use std::time::Duration;
use std::{fmt, io};

use crate::frame::{EncodeError, FrameError, Hint, LooksLike};

/// Why a connection ended. `Display` gives the words that the log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer sent all it wanted and closed; everything it asked was answered.
    PeerClosed,
    /// The peer, or the network, broke the connection.
    PeerReset(io::ErrorKind),
    /// The peer closed in the middle of a frame.
    TruncatedFrame {
        /// Bytes of the unfinished frame that did arrive, its prefix included.
        received_bytes: usize,
        /// What the bytes were if they were not frames at all.
        looks_like: Option<LooksLike>,
    },
    /// The peer's bytes cannot be a frame.
    BadFrame(FrameError),
    /// The service replied with something that the connection's framing cannot carry.
    UnsendableReply(EncodeError),
    /// A frame was begun and not finished in time.
    FrameTimeout {
        /// How long the peer had.
        limit: Duration,
        /// What the bytes were if they were not frames at all.
        looks_like: Option<LooksLike>,
    },
    /// Nothing was said in either direction for this long.
    IdleTimeout(Duration),
    /// The peer took none of the bytes owed to it for this long.
    WriteTimeout(Duration),
    /// More bytes were owed to the peer than the limit allows: it does not read.
    SlowConsumer {
        /// Bytes that waited for it.
        pending_bytes: usize,
    },
    /// The server is full; this was a newcomer.
    MaxConnections(usize),
    /// No thread could be started for it; this was a newcomer.
    NoThread,
    /// All connections together hold too many bytes, and this one held the most (or was a newcomer).
    BufferBudget(usize),
    /// The server is stopping.
    ShuttingDown,
    /// The service hung up, in its own words.
    Service(Cow<'static, str>),
}

impl CloseReason {
    /// Whether the end is anything but the ordinary course of things; faults are logged as warnings.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::PeerClosed | Self::ShuttingDown | Self::Service(_) | Self::IdleTimeout(_))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed"),
            Self::PeerReset(kind) => write!(f, "the peer broke off: {kind}"),
            Self::TruncatedFrame { received_bytes, looks_like } => {
                write!(f, "the peer closed inside a frame, {received_bytes} bytes into it{}", Hint(*looks_like))
            }
            Self::BadFrame(error) => error.fmt(f),
            Self::UnsendableReply(error) => write!(f, "the reply cannot be sent: {error}"),
            Self::FrameTimeout { limit, looks_like } => {
                write!(f, "a frame was begun and not finished within {limit:?}{}", Hint(*looks_like))
            }
            Self::IdleTimeout(limit) => write!(f, "idle for {limit:?}"),
            Self::WriteTimeout(limit) => write!(f, "the peer took no byte of its answer for {limit:?}"),
            Self::SlowConsumer { pending_bytes } => {
                write!(f, "slow consumer: {pending_bytes} bytes wait and the peer does not read")
            }
            Self::MaxConnections(limit) => write!(f, "server is full: {limit} connections"),
            Self::NoThread => f.write_str("server is full: it can start no more threads"),
            Self::BufferBudget(limit) => {
                write!(f, "server is short of memory: its connections hold {limit} bytes, the most they may")
            }
            Self::ShuttingDown => f.write_str("server is shutting down"),
            Self::Service(words) => f.write_str(words),
        }
    }
}
