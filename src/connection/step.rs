//! One step of a connection: an engine begins it, reads and dispatches, and ends it.

use super::phase::Phase;
use super::state::Connection;
use super::stream::Stream;
use super::worker_context::WorkerContext;
use crate::engine::limits::Limits;
use crate::service::CloseReason;
use crate::service::time::Timestamp;

/// The work that the begin of a step has found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepStart {
    /// The service has to be called with `on_writable`.
    pub(crate) writable_due: bool,
    /// Input was received in an earlier step and is not decoded yet.
    pub(crate) has_deferred_input: bool,
}

/// The result of a step.
#[derive(Debug)]
pub(crate) struct StepEnd {
    pub(crate) next: Next,
    pub(crate) timer: Option<TimerChange>,
}

/// The continuation of a connection after a step.
#[derive(Debug)]
pub(crate) enum Next {
    /// The connection waits for an event or a deadline, or is in the ready queue already.
    Wait,
    /// The connection can go on without an event. The engine puts it into the ready queue.
    Queue,
    /// All requests are answered, and the connection closes for this reason.
    Close(CloseReason),
    /// The connection is over.
    Remove,
}

/// A timer to set for a connection, and the later one that it replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerChange {
    pub(crate) at: Timestamp,
    pub(crate) replaced: Option<Timestamp>,
}

impl<S: Stream> Connection<S> {
    /// Begins a step: the connection leaves the ready queue, and its pending output is written.
    /// Clears the request for `on_writable` if it is due.
    ///
    /// # Errors
    /// The reason why the connection has to close.
    #[inline]
    pub(crate) fn begin_step(&mut self, worker: &mut WorkerContext) -> Result<StepStart, CloseReason> {
        self.set_scheduled(false);
        self.flush(worker)?;
        self.update_backpressure(worker);
        let writable_due = self.is_writable_due(&worker.limits);
        self.writable_requested &= !writable_due;
        Ok(StepStart { writable_due, has_deferred_input: self.has_deferred_input() })
    }

    /// Ends a step, or decides what follows after any other change to the connection. An orderly
    /// close goes on, with `scratch` as the buffer for input to discard.
    pub(crate) fn end_step(&mut self, scratch: &mut [u8], worker: &mut WorkerContext) -> StepEnd {
        self.update_backpressure(worker);
        if let Some(reason) = self.reason_if_answered() {
            return StepEnd { next: Next::Close(reason), timer: None };
        }
        self.advance_close(scratch, worker.clock.timestamp);
        self.recount_into(&mut worker.stats.buffered_bytes);
        if self.phase == Phase::Closed {
            return StepEnd { next: Next::Remove, timer: None };
        }
        let goes_on = self.wants_step(&worker.limits) && self.mark_scheduled();
        StepEnd { next: if goes_on { Next::Queue } else { Next::Wait }, timer: self.change_timer(&worker.limits) }
    }

    /// Returns true if another step could make progress without a new event: the read budget ended
    /// before the input did, `on_writable` is due, or input has to be discarded.
    #[inline]
    pub(crate) fn wants_step(&self, limits: &Limits) -> bool {
        self.wants_read(limits)
            || self.is_writable_due(limits)
            || (self.phase == Phase::Lingering && self.readiness.readable)
    }

    /// Returns true if the service requested `on_writable` and the pending output is at low water,
    /// or is sent if memory is short.
    #[inline]
    fn is_writable_due(&self, limits: &Limits) -> bool {
        self.writable_requested && self.phase == Phase::Open && {
            let most = if self.is_paused_for_memory() { 0 } else { limits.low_water_bytes() };
            self.queue.pending_bytes() <= most
        }
    }
}
