//! The deadlines of a peer, computed from the [`Timestamps`](super::timestamps::Timestamps).
//!
//! The engine sets one timer for each connection, for its earliest deadline. A deadline that moves
//! later leaves the timer alone: when the timer fires, the engine computes the deadline again.

use std::time::Duration;

use super::phase::Phase;
use super::readiness::ReadPause;
use super::state::Connection;
use super::step::TimerChange;
use super::stream::Stream;
use crate::engine::limits::Limits;
use crate::service::CloseReason;
use crate::service::Peer;
use crate::service::time::Timestamp;

/// The deadline that a peer is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The peer finishes its frame within `frame_timeout`.
    Frame,
    /// A byte moves in either direction within `idle_timeout`.
    Idle,
    /// The peer takes a byte of its pending output within `write_timeout`.
    Write,
    /// The peer closes its side within `linger_timeout`, after we have closed ours.
    Linger,
}

impl<S: Stream> Connection<S> {
    /// Returns the earliest deadline of the peer. A console has the linger deadline only, because
    /// an operator may type slowly or stop the output.
    #[inline]
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Timestamp, Deadline)> {
        let timestamps = &self.timestamps;
        let no_output = timestamps.write_progress.is_none() && self.phase == Phase::Open;
        if no_output && timestamps.frame_start.is_none() && limits.idle_timeout.is_zero() {
            return None;
        }
        let linger_from = (self.phase == Phase::Lingering).then_some(timestamps.last_activity);
        let linger = linger_from.map(|from| (from + limits.linger_timeout, Deadline::Linger));
        if self.peer == Peer::Console {
            return linger;
        }
        let is_read =
            self.phase == Phase::Open && self.read_pause() == ReadPause::NotPaused && self.close_reason().is_none();
        let idle_from = (self.jobs == 0 && timestamps.write_progress.is_none()).then_some(timestamps.last_activity);
        [
            after(timestamps.frame_start.filter(|_| is_read), limits.frame_timeout, Deadline::Frame),
            after(idle_from.filter(|_| is_read), limits.idle_timeout, Deadline::Idle),
            after(timestamps.write_progress, limits.write_timeout, Deadline::Write),
            linger,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Returns the reason for closing a connection whose peer has exceeded `deadline`.
    fn timeout_reason(&self, deadline: Deadline, limits: &Limits) -> CloseReason {
        match deadline {
            Deadline::Frame => {
                CloseReason::FrameTimeout { limit: limits.frame_timeout, looks_like: self.decoder.looks_like() }
            }
            Deadline::Idle => CloseReason::IdleTimeout(limits.idle_timeout),
            Deadline::Write => CloseReason::WriteTimeout(limits.write_timeout),
            Deadline::Linger => CloseReason::PeerClosed,
        }
    }

    /// Returns the reason for closing if the peer has exceeded a deadline.
    pub(crate) fn expired(&self, limits: &Limits, now: Timestamp) -> Option<CloseReason> {
        let (at, deadline) = self.deadline(limits)?;
        (at <= now).then(|| self.timeout_reason(deadline, limits))
    }

    /// Returns true if the earliest deadline cannot be judged before the step that the ready queue
    /// owes the connection: the peer may have sent what it is waited for, or made room for output.
    pub(crate) fn awaits_step(&self, limits: &Limits) -> bool {
        self.is_scheduled()
            && match self.deadline(limits) {
                Some((_, Deadline::Frame | Deadline::Idle)) => self.wants_read(limits),
                Some((_, Deadline::Write)) => self.readiness.writable,
                Some((_, Deadline::Linger)) | None => false,
            }
    }

    /// Returns the timer that the engine has to set now; `None` if the timer that is set is early
    /// enough.
    #[inline]
    pub(super) fn change_timer(&mut self, limits: &Limits) -> Option<TimerChange> {
        let (at, _) = self.deadline(limits)?;
        let replaced = self.timestamps.timer;
        replaced.is_none_or(|set| at < set).then(|| {
            self.timestamps.timer = Some(at);
            TimerChange { at, replaced }
        })
    }

    /// Notes that the connection's timer has fired.
    pub(crate) fn timer_fired(&mut self) {
        self.timestamps.timer = None;
    }

    /// Returns the timer that is set for the connection.
    pub(crate) fn timer(&self) -> Option<Timestamp> {
        self.timestamps.timer
    }
}

/// Returns `from + limit`; `None` for a limit of zero, which means unlimited.
fn after(from: Option<Timestamp>, limit: Duration, deadline: Deadline) -> Option<(Timestamp, Deadline)> {
    let from = from.filter(|_| !limit.is_zero())?;
    Some((from + limit, deadline))
}
