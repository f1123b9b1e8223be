//! The reason why a connection was closed, with its text for the log.

use std::borrow::Cow;
use std::time::Duration;
use std::{fmt, io};

use crate::frame::plural::counted;
use crate::frame::{EncodeError, FrameError, Hint, LooksLike};

/// The reason why a connection was closed. `Display` gives the text of the log line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed its side between frames, and every request was answered.
    PeerClosed,
    /// A read or write failed: the peer reset the connection, or the network did.
    PeerReset(io::ErrorKind),
    /// The peer closed inside a frame.
    TruncatedFrame {
        /// Bytes received of the incomplete frame, its prefix included.
        received_bytes: usize,
        /// A guess at the protocol of the bytes, if they resemble another one.
        looks_like: Option<LooksLike>,
    },
    /// The peer's bytes are not a valid frame.
    BadFrame(FrameError),
    /// The service sent a reply that the connection's framing cannot carry.
    UnsendableReply(EncodeError),
    /// A frame did not arrive completely within the limit.
    FrameTimeout {
        /// `Limits::frame_timeout`.
        limit: Duration,
        /// A guess at the protocol of the bytes, if they resemble another one.
        looks_like: Option<LooksLike>,
    },
    /// No byte was transferred in either direction for this long (`Limits::idle_timeout`).
    IdleTimeout(Duration),
    /// The peer received none of its queued output for this long (`Limits::write_timeout`).
    WriteTimeout(Duration),
    /// The peer received its queued output more slowly than `Limits::min_read_rate`.
    ReadRate {
        /// Bytes that the peer received in the last period.
        received_bytes: u64,
        /// The length of the period: a minute, or slightly more.
        period: Duration,
    },
    /// The output queued for the peer reached `Limits::max_write_buffer_bytes`: the peer does not
    /// read, or too slowly.
    SlowConsumer(OutputBacklog),
    /// `Limits::max_connections` (the value) is reached; the connection was rejected.
    MaxConnections(usize),
    /// The descriptors of connections, and those that their services may open for them, would be
    /// more than this process has for them (the value); the connection was rejected.
    MaxDescriptors(usize),
    /// Its address has `Limits::max_connections_per_address` (the value) connections already; the
    /// connection was rejected.
    MaxPerAddress(usize),
    /// A thread for the connection could not be started; the connection was rejected.
    NoThread,
    /// All connections together hold too much of `Limits::max_buffered_bytes` (the value), and this
    /// one held the most, or was rejected.
    BufferBudget(usize),
    /// A callback of the service about this connection has panicked.
    ServicePanicked,
    /// The service was stopped, because it has panicked [`PanicPolicy::MAX_PANICS`] times within
    /// [`PanicPolicy::WINDOW`].
    ///
    /// [`PanicPolicy::MAX_PANICS`]: crate::PanicPolicy::MAX_PANICS
    /// [`PanicPolicy::WINDOW`]: crate::PanicPolicy::WINDOW
    ServiceStopped,
    /// The engine is stopping.
    ShuttingDown,
    /// The service closed the connection, with its own text.
    Service(Cow<'static, str>),
}

/// The output that waits for a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputBacklog {
    /// Bytes queued for the peer.
    pub pending_bytes: usize,
    /// The time for which the peer has taken none of them.
    pub stalled: Duration,
}

impl fmt::Display for OutputBacklog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = counted(self.pending_bytes as u64, "byte", "bytes");
        write!(f, "{queued} queued, none taken for {:.1}s", self.stalled.as_secs_f64())
    }
}

impl CloseReason {
    /// Returns true for every reason except an ordinary end (peer closed, shutdown, service, idle
    /// timeout). Faults are logged as warnings.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::PeerClosed | Self::ShuttingDown | Self::Service(_) | Self::IdleTimeout(_))
    }

    /// Returns the reason without its values, by which the log's rate limit counts.
    pub(crate) fn cause(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer closed",
            Self::PeerReset(_) => "connection lost",
            Self::TruncatedFrame { .. } => "truncated frame",
            Self::BadFrame(_) => "bad frame",
            Self::UnsendableReply(_) => "unsendable reply",
            Self::FrameTimeout { .. } => "frame timeout",
            Self::IdleTimeout(_) => "idle timeout",
            Self::WriteTimeout(_) => "write timeout",
            Self::ReadRate { .. } => "read rate",
            Self::SlowConsumer(_) => "slow consumer",
            Self::MaxConnections(_) => "too many connections",
            Self::MaxDescriptors(_) => "too few descriptors",
            Self::MaxPerAddress(_) => "too many connections of one address",
            Self::NoThread => "no thread",
            Self::BufferBudget(_) => "memory limit",
            Self::ServicePanicked => "panic",
            Self::ServiceStopped => "service stopped",
            Self::ShuttingDown => "shutdown",
            Self::Service(_) => "closed by the service",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed"),
            Self::PeerReset(kind) => write!(f, "connection lost: {kind}"),
            Self::TruncatedFrame { received_bytes, looks_like } => {
                let received = counted(*received_bytes as u64, "byte", "bytes");
                write!(f, "the peer closed inside a frame, after {received} of it{}", Hint(*looks_like))
            }
            Self::BadFrame(error) => error.fmt(f),
            Self::UnsendableReply(error) => write!(f, "reply not sent: {error}"),
            Self::FrameTimeout { limit, looks_like } => {
                write!(f, "frame timeout: frame incomplete after {limit:?}{}", Hint(*looks_like))
            }
            Self::IdleTimeout(limit) => write!(f, "idle timeout: no data for {limit:?}"),
            Self::WriteTimeout(limit) => write!(f, "write timeout: the peer received no byte for {limit:?}"),
            Self::ReadRate { received_bytes, period } => {
                let received = counted(*received_bytes, "byte", "bytes");
                write!(f, "read rate: the peer received {received} in {period:.0?}, below the minimum")
            }
            Self::SlowConsumer(backlog) => write!(f, "slow consumer: {backlog}"),
            Self::MaxConnections(limit) => {
                write!(f, "server is full: {}", counted(*limit as u64, "connection", "connections"))
            }
            Self::MaxDescriptors(max) => {
                write!(
                    f,
                    "server is full: its connections need all of {}",
                    counted(*max as u64, "descriptor", "descriptors")
                )
            }
            Self::MaxPerAddress(max) => {
                write!(f, "this address has {} already", counted(*max as u64, "connection", "connections"))
            }
            Self::NoThread => f.write_str("server is full: it can start no more threads"),
            Self::BufferBudget(limit) => {
                write!(f, "server is short of memory: its connections may hold {limit} bytes")
            }
            Self::ServicePanicked => f.write_str("the service failed"),
            Self::ServiceStopped => f.write_str("the service was stopped after repeated panics"),
            Self::ShuttingDown => f.write_str("server is shutting down"),
            Self::Service(text) => f.write_str(text),
        }
    }
}
