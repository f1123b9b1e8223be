//! The end of a turn: what services have collected is said, and what was said is sent.
//!
//! All of it may make callbacks, and those may give more to do. What bounds it: a connection ends once; and an `on_turn_end` asked
//! for in `on_turn_end` or `on_dropped`, like what `on_dropped` makes a slow reader miss, is the next turn's. So the first round is
//! followed by no more than those that ends of connections bring about.

use super::driver::Net;
use super::event_loop::Turn;
use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, Phase, Stream};
use crate::service::{ConnId, ServiceId};

/// What is to be done at the turn's end.
#[derive(Default)]
pub(super) struct Owed {
    /// Connections that others have put something into the queue of.
    pub(super) dirty: Vec<usize>,
    /// Services that want to be called when the others of this turn have been, each once.
    flushes: Vec<ServiceId>,
    /// Services are to be told that the engine drains.
    pub(super) shutdown: bool,
    /// Batches that were dropped, and the connections that were owed them.
    missed: Vec<(usize, DroppedBatch)>,
    /// The next turn's.
    next_flushes: Vec<ServiceId>,
    next_missed: Vec<(usize, DroppedBatch)>,
}

impl Owed {
    pub(super) fn ask_flush(&mut self, service: ServiceId) {
        if !self.flushes.contains(&service) {
            self.flushes.push(service);
        }
    }

    /// Takes what the connection at hand has just missed.
    #[inline]
    pub(super) fn note_missed(&mut self, key: usize, missed: &mut Vec<DroppedBatch>) {
        if !missed.is_empty() {
            self.missed.extend(missed.drain(..).map(|missed| (key, missed)));
        }
    }

    #[inline]
    pub(super) fn mark_dirty<S: Stream>(&mut self, key: usize, conn: &mut Connection<S>) {
        if !std::mem::replace(&mut conn.flags().dirty, true) {
            self.dirty.push(key);
        }
    }

    /// Whether the next turn has something to say at once.
    pub(super) fn waits(&self) -> bool {
        !self.flushes.is_empty() || !self.missed.is_empty()
    }

    fn next_turn(&mut self) {
        for service in std::mem::take(&mut self.next_flushes) {
            self.ask_flush(service);
        }
        self.missed.append(&mut self.next_missed);
    }
}

impl<N: Net> Turn<N> {
    /// Step 8: everybody is told what there is to tell, and everything that was said is written.
    pub(super) fn say_all(&mut self) {
        loop {
            // What a service says may be too much for a slow reader, and a write may find its peer gone. Their services are told
            // within this very turn, and what those then tell the others must not wait for an event that may never come.
            self.say_goodbyes();
            if !(self.call_on_shutdown() || self.call_on_flush() || self.call_on_dropped() || self.flush_dirty()) {
                break;
            }
        }
        self.owed.next_turn();
    }

    fn call_on_shutdown(&mut self) -> bool {
        let any = std::mem::take(&mut self.owed.shutdown);
        for number in 0..if any { self.services.len() } else { 0 } {
            self.call(ServiceId(number), ConnId::NONE, |service, cx| service.on_shutdown(cx));
        }
        any
    }

    /// Has services say what they have collected. What they make slow readers miss is reported still in this turn.
    fn call_on_flush(&mut self) -> bool {
        let mut asked = std::mem::take(&mut self.owed.flushes);
        let any = !asked.is_empty();
        for service in asked.drain(..) {
            self.call(service, ConnId::NONE, |service, cx| service.on_turn_end(cx));
        }
        let again = std::mem::replace(&mut self.owed.flushes, asked);
        self.owed.next_flushes.extend(again);
        any
    }

    /// Tells services who has missed what.
    fn call_on_dropped(&mut self) -> bool {
        let mut missed = std::mem::take(&mut self.owed.missed);
        let any = !missed.is_empty();
        for (key, DroppedBatch { batch: ticket, frames }) in missed.drain(..) {
            let Some(conn) = self.conns.get_mut(key).filter(|conn| conn.phase() == Phase::Open) else { continue };
            let service = conn.service();
            self.call(service, ConnId(key), |service, cx| service.on_dropped(cx, ticket, frames));
        }
        let again = std::mem::replace(&mut self.owed.missed, missed);
        self.owed.next_missed.extend(again);
        self.owed.next_flushes.append(&mut self.owed.flushes);
        any
    }

    /// Writes what others have queued for a connection: one write, however many they were.
    fn flush_dirty(&mut self) -> bool {
        if self.owed.dirty.is_empty() {
            return false;
        }
        let mut dirty = std::mem::take(&mut self.owed.dirty);
        for key in dirty.drain(..) {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.flags().dirty = false;
            match conn.flush(self.desk.clock.moment, &mut self.desk.stats) {
                Ok(()) => self.settle(key),
                Err(reason) => self.end(key, reason),
            }
        }
        // Nothing above makes a callback, so nothing was added meanwhile; the allocation is kept for the next turn.
        self.owed.dirty = dirty;
        true
    }
}
