//! What a thread of an engine has once and lends to each connection in turn: the limits, the time, the places where replies and actions
//! collect, spare buffers, the counters, and what slow readers have missed.

use crate::connection::write_queue::Missed;
use crate::engine::limits::Limits;
use crate::engine::stats::Stats;
use crate::frame::{BufferPool, Framing};
use crate::service::ConnId;
use crate::service::context::{Clock, Context, PendingActions, ReplyTo};
use crate::service::reply_buffer::{ReplyBuffer, ReplySource};

/// A thread's own things, as the operator's desk is not any line's.
pub(crate) struct Desk {
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) outbox: ReplyBuffer,
    pub(crate) spares: BufferPool,
    pub(crate) effects: PendingActions,
    pub(crate) stats: Stats,
    /// Batches that the connection at hand has missed. Whoever lends the desk takes them before it goes to the next one.
    pub(crate) missed: Vec<Missed>,
    /// Whether a reply that lies in a request put together by the decoder is written from there, which has to be done before
    /// the next frame is looked for. Not where a lock is held while frames are handed over: nothing is written under it.
    pub(crate) lends_requests: bool,
}

impl Desk {
    pub(crate) fn new(limits: Limits, clock: Clock, effects: PendingActions, spares: BufferPool) -> Self {
        let (outbox, stats, missed) = (ReplyBuffer::default(), Stats::default(), Vec::new());
        Self { limits, clock, outbox, spares, effects, stats, missed, lends_requests: true }
    }

    /// For a callback about a connection that owes its peer `pending_bytes`, and whose replies may lie in `origin`.
    #[inline]
    pub(crate) fn context<'a>(
        &'a mut self,
        conn: ConnId,
        framing: Framing,
        origin: ReplySource<'a>,
        pending_bytes: usize,
    ) -> Context<'a> {
        let reply_to = ReplyTo::Connection { outbox: &mut self.outbox, framing, origin, pending_bytes };
        Context { conn, clock: self.clock, reply_to, effects: &mut self.effects }
    }
}
