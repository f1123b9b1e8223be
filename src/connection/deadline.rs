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
use super::timestamps::DueDeadline;
use super::worker_context::WorkerContext;
use crate::engine::limits::{Limits, READ_RATE_PERIOD};
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
    /// The peer receives a byte of its pending output within `write_timeout`.
    Write,
    /// Not a deadline of the peer: while output waits, its progress is looked at.
    Look,
    /// The peer closes its side within `linger_timeout`, after we have closed ours.
    Linger,
    /// Not a deadline of the peer: the engine drains, and the connection has its part in that.
    Drain,
}

/// The result of a look at a deadline whose timer has fired.
#[derive(Debug)]
pub(crate) enum DeadlineCheck {
    /// Nothing is due.
    NotDue,
    /// What was due is done, and the peer was in time. The engine ends the step.
    Met,
    /// Input may be waiting that came in time. The next step reads it, and then the deadline is
    /// checked again.
    AfterRead,
    /// The peer is late: the reason for closing.
    Expired(CloseReason),
}

/// The reads before a peer is late. One finds the socket empty; a longer frame takes several, and a
/// peer that sends without end could take any number.
const MAX_READS_BEFORE_LATE: u8 = 64;

impl<S: Stream> Connection<S> {
    /// Returns the earliest deadline of the peer. A console has the linger deadline only, because
    /// an operator may type slowly or stop the output.
    #[inline]
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Timestamp, Deadline)> {
        let timestamps = &self.timestamps;
        let no_output = timestamps.write_progress.is_none() && self.phase == Phase::Open;
        if no_output && timestamps.frame_start.is_none() && limits.idle_timeout.is_zero() && self.cold.is_none() {
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
            self.next_look(limits),
            self.cold.as_ref().and_then(|cold| cold.drain?.next_at()).map(|at| (at, Deadline::Drain)),
            linger,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Returns when the peer's progress is looked at, if output waits for it.
    fn next_look(&self, limits: &Limits) -> Option<(Timestamp, Deadline)> {
        let progress = self.timestamps.write_progress.filter(|_| !self.queue.is_empty())?;
        let interval = limits.look_interval()?;
        let from = self.queue.watch().map_or(progress, |watch| watch.looked_at().max(progress));
        Some((from + interval, Deadline::Look))
    }

    /// Looks at the progress of a peer for which output waits.
    ///
    /// No event reports it: a socket is reported writable only once a large part of its buffer is
    /// free. So the socket is offered the output, and the system is asked what the peer has
    /// received.
    ///
    /// # Errors
    /// The reason for closing if the peer is gone, or reads too slowly.
    fn look_at_progress(&mut self, worker: &mut WorkerContext) -> Result<(), CloseReason> {
        self.readiness.writable |= !self.queue.is_empty();
        self.flush(worker)?;
        let Some(interval) = worker.limits.look_interval().filter(|_| !self.queue.is_empty()) else { return Ok(()) };
        let now = worker.clock.timestamp;
        let (watch, has_progress) = self.queue.look(self.stream.received_by_peer(), interval, now);
        if has_progress {
            // The flush has noted what the socket took; this is what it took earlier.
            self.timestamps.write_progress = Some(now);
        }
        match watch.and_then(|watch| watch.end_period(READ_RATE_PERIOD)) {
            Some((received_bytes, period)) if is_below(worker.limits.min_read_rate, received_bytes, period) => {
                Err(CloseReason::ReadRate { received_bytes, period })
            }
            _ => Ok(()),
        }
    }

    /// Returns true if the peer has received no byte of its pending output for too long.
    fn is_write_due(&self, limits: &Limits, now: Timestamp) -> bool {
        let write = after(self.timestamps.write_progress, limits.write_timeout, Deadline::Write);
        write.is_some_and(|(at, _)| at <= now)
    }

    /// Checks the earliest deadline. A peer is late only if it has not done in time what it had to
    /// do, not if this process has not noticed in time: it may have been stopped, or busy.
    pub(crate) fn check_deadline(&mut self, worker: &mut WorkerContext) -> DeadlineCheck {
        let now = worker.clock.timestamp;
        let Some((at, deadline)) = self.deadline(&worker.limits).filter(|(at, _)| *at <= now) else {
            self.clear_due_deadline();
            return DeadlineCheck::NotDue;
        };
        let reason = match deadline {
            Deadline::Write | Deadline::Look => match self.look_at_progress(worker) {
                Ok(()) if self.is_write_due(&worker.limits, now) => {
                    Some(CloseReason::WriteTimeout(worker.limits.write_timeout))
                }
                looked => looked.err(),
            },
            Deadline::Drain => self.continue_drain(worker),
            Deadline::Frame | Deadline::Idle if self.asks_for_read(at, &worker.limits) => {
                return DeadlineCheck::AfterRead;
            }
            Deadline::Frame => {
                let (limit, looks_like) = (worker.limits.frame_timeout, self.decoder.looks_like());
                Some(CloseReason::FrameTimeout { limit, looks_like })
            }
            Deadline::Idle => Some(CloseReason::IdleTimeout(worker.limits.idle_timeout)),
            Deadline::Linger => Some(CloseReason::PeerClosed),
        };
        reason.map_or(DeadlineCheck::Met, DeadlineCheck::Expired)
    }

    /// Returns true if the socket has to be read before the deadline that was due at `at` counts.
    /// Then the next step reads it.
    fn asks_for_read(&mut self, at: Timestamp, limits: &Limits) -> bool {
        let cold = self.cold.get_or_insert_default();
        let reads = cold.due_deadline.filter(|due| due.at == at).map_or(0, |due| due.reads);
        cold.due_deadline = Some(DueDeadline { at, reads: reads + 1 });
        // The first read may find what no event has reported yet.
        self.readiness.readable |= reads == 0;
        let asks = reads < MAX_READS_BEFORE_LATE && self.wants_read(limits);
        if !asks {
            self.clear_due_deadline();
        }
        asks
    }

    fn clear_due_deadline(&mut self) {
        if let Some(cold) = &mut self.cold {
            cold.due_deadline = None;
            self.free_cold();
        }
    }

    /// Sets the timer for the check after the next step, which sets it anew if the deadline is
    /// still due.
    pub(crate) fn set_timer_after(&mut self, now: Timestamp) -> TimerChange {
        let at = now + Duration::from_nanos(1);
        TimerChange { at, replaced: self.timestamps.timer.replace(at) }
    }

    /// Returns true if the earliest deadline cannot be judged before the step that the ready queue
    /// owes the connection: the peer may have sent what it is waited for.
    pub(crate) fn awaits_step(&self, limits: &Limits) -> bool {
        self.is_scheduled()
            && matches!(self.deadline(limits), Some((_, Deadline::Frame | Deadline::Idle)))
            && self.wants_read(limits)
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

/// Returns true if `bytes` in `period` are fewer than `rate` in each second.
fn is_below(rate: usize, bytes: u64, period: Duration) -> bool {
    u128::from(bytes) * 1000 < rate as u128 * period.as_millis()
}

/// Returns `from + limit`; `None` for a limit of zero, which means unlimited.
fn after(from: Option<Timestamp>, limit: Duration, deadline: Deadline) -> Option<(Timestamp, Deadline)> {
    let from = from.filter(|_| !limit.is_zero())?;
    Some((from + limit, deadline))
}
