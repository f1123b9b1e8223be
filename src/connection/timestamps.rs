//! The points in time that a connection's deadlines count from.

use std::time::Duration;

use crate::service::time::Timestamp;

/// When each wait of a connection began.
///
/// The peer must not pay for our pauses: [`reading_resumed`](Self::reading_resumed) moves the start
/// of the frame and the last activity later by the time in which the engine did not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamps {
    /// When a byte last moved, in either direction.
    pub(super) last_activity: Timestamp,
    /// When the unfinished frame began.
    pub(super) frame_start: Option<Timestamp>,
    /// When the socket last took a byte of the pending output, or when output first began to wait.
    pub(super) write_progress: Option<Timestamp>,
    /// The time of the timer that is set for this connection. The deadline may have moved later
    /// since.
    pub(super) timer: Option<Timestamp>,
}

/// A frame or idle deadline that is due, while input may be waiting that came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DueDeadline {
    pub(super) at: Timestamp,
    /// Reads that were asked for since.
    pub(super) reads: u8,
}

/// A connection's part in a drain of its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// When the part begins, until it has begun.
    pub(super) begins: Option<Timestamp>,
    /// Bytes to read: they had arrived when the part began.
    pub(super) unread: usize,
    /// When the output is cut, or written again after it was cut; `None` if never.
    pub(super) cut_at: Option<Timestamp>,
}

impl Drain {
    /// Returns when the drain has something to do for the connection.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.begins.or(self.cut_at)
    }
}

impl Timestamps {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { last_activity: now, frame_start: None, write_progress: None, timer: None }
    }

    /// Notes that bytes were received.
    #[inline]
    pub(super) fn bytes_received(&mut self, now: Timestamp) {
        self.last_activity = now;
    }

    /// Notes the result of decoding: `completed` if a frame was completed, `unfinished` if the
    /// input ends inside a frame.
    #[inline]
    pub(super) fn frames_decoded(&mut self, completed: bool, unfinished: bool, now: Timestamp) {
        if completed || !unfinished {
            self.frame_start = None;
        }
        if unfinished {
            self.frame_start.get_or_insert(now);
        }
    }

    /// Notes a write or new output: `any_sent` if the socket took a byte, `any_pending` if output
    /// is left.
    #[inline]
    pub(super) fn output_changed(&mut self, any_sent: bool, any_pending: bool, now: Timestamp) {
        if any_sent {
            self.last_activity = now;
            self.write_progress = None;
        }
        if any_pending {
            self.write_progress.get_or_insert(now);
        } else {
            self.write_progress = None;
        }
    }

    /// Returns the time for which output waits and the socket has taken no byte of it.
    pub(super) fn stalled(&self, now: Timestamp) -> Duration {
        self.write_progress.map_or(Duration::ZERO, |since| now.saturating_since(since))
    }

    /// Notes that the engine reads again, after a pause. Excludes the pause from the peer's
    /// deadlines.
    pub(super) fn reading_resumed(&mut self, paused_since: Timestamp, now: Timestamp) {
        let pause = now.saturating_since(paused_since);
        self.frame_start = self.frame_start.map(|began| began + pause);
        // A write during the pause has moved it already, so the sum could lie in the future.
        self.last_activity = (self.last_activity + pause).min(now);
    }

    /// Notes that the connection reads no more frames. Only the write deadline and the timer stay.
    pub(super) fn reading_ended(&mut self, now: Timestamp) {
        *self = Self { write_progress: self.write_progress, timer: self.timer, ..Self::new(now) };
    }
}
