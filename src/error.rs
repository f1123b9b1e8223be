//! What can go wrong, and why a connection ended, each in words that say what to do next.
//!
//! Errors are plain enums without a socket or a clock in them, so that every floor may use them.

use std::borrow::Cow;
use std::time::Duration;
use std::{fmt, io};

use crate::endpoint::Endpoint;

/// Why an engine could not start, or had to stop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be listened on.
    Bind {
        /// The address asked for.
        endpoint: Endpoint,
        /// What the operating system said.
        source: io::Error,
    },
    /// A console's input or output cannot be had in a way that never waits.
    Attach(io::Error),
    /// A limit contradicts itself or another.
    Limits(&'static str),
    /// The operating system refused the poll instance, its waker, or a wait on them.
    Poll(io::Error),
    /// The operating system refused a thread that the engine cannot do without.
    Thread(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { endpoint, source } => {
                write!(f, "cannot listen on {endpoint}: {}", Bare(source))?;
                let is_path = matches!(endpoint, Endpoint::Unix(_));
                f.write_str(match source.kind() {
                    io::ErrorKind::AddrInUse if is_path => "; a server listens there, or the file is no socket",
                    io::ErrorKind::AddrInUse => {
                        "; stop the program that holds it, or choose another port (0 takes any free one)"
                    }
                    io::ErrorKind::PermissionDenied if is_path => "; choose a directory that this user may write to",
                    io::ErrorKind::PermissionDenied => {
                        "; ports below 1024 need privileges: choose another, or grant them (CAP_NET_BIND_SERVICE)"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "; this machine has no such address: 127.0.0.1, [::1], 0.0.0.0 and [::] always work"
                    }
                    _ => "",
                })
            }
            Self::Attach(source) => {
                write!(f, "cannot attach the console: {}", Bare(source))?;
                f.write_str(match source.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "; its terminal or pipe belongs to another user: redirect input and output, through cat for example"
                    }
                    io::ErrorKind::Unsupported => "; give it a terminal, a pipe, a socket or a file",
                    _ => "",
                })
            }
            Self::Limits(what) => write!(f, "bad limits: {what}"),
            Self::Poll(source) => write!(f, "the operating system refused to poll: {source}"),
            Self::Thread(source) => write!(f, "the operating system refused to start a thread: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Attach(source) | Self::Poll(source) | Self::Thread(source) => {
                Some(source)
            }
            Self::Limits(_) => None,
        }
    }
}

/// An I/O error without the `(os error 98)` that says nothing to a person.
struct Bare<'a>(&'a io::Error);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

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
struct Hint(Option<LooksLike>);

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
