//! The conditions of the next read and write: the remembered readiness of the socket, the
//! known end of the peer's stream, and the reason for not reading.
//!
//! Events are edge-triggered, so readiness is remembered until a read or a write finds otherwise.

use crate::service::time::Timestamp;

/// The remembered readiness of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// A read may return bytes or the end of the stream.
    pub(crate) readable: bool,
    /// The socket may take bytes.
    pub(crate) writable: bool,
}

impl Readiness {
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const READABLE: Self = Self { readable: true, writable: false };
    pub(crate) const WRITABLE: Self = Self { readable: false, writable: true };

    /// Adds the readiness that an event reports.
    #[inline]
    pub(crate) fn add(&mut self, reported: Self) {
        self.readable |= reported.readable;
        self.writable |= reported.writable;
    }
}

/// The known end of the peer's stream. A later state includes the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PeerEnd {
    /// The stream goes on, and a short read proves the socket empty.
    #[default]
    Open,
    /// The stream goes on, and the peer sent urgent data, at an unknown place. A read may end there
    /// although more bytes follow.
    Urgent,
    /// An event reported the peer's end of stream or an error. No further event follows, so reading
    /// goes on until a read returns it.
    Reported,
    /// A read has returned the end of the stream.
    Read,
}

/// The reason why a connection is not read, and the time since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReadPause {
    #[default]
    NotPaused,
    /// The pending output, with what the service keeps, was above high water, and is not at low
    /// water yet.
    Output { since: Timestamp },
    /// All connections together hold too many bytes, and this one more than its share.
    Memory { since: Timestamp },
}
