//! The length of each turn, and what it was spent on.
//!
//! A turn's length is taken from the clock that the loop reads anyway, and once more before it
//! sleeps. Within a turn a coarse clock is read after each owner's step and each callback. If it
//! has advanced, the time goes to the work that has just ended, as in a sampling profiler: a turn
//! that is short costs no more than that comparison.

use std::time::{Duration, Instant};

use super::driver::{Driver, SourceKind};
use super::event_loop::EventLoop;
use super::turn_meter::{TurnMeter, WorkOwner, WorkShare};
use crate::engine::lag::{LONG_TURN, Work};

impl<D: Driver> EventLoop<D> {
    /// Begins to measure a turn, after its poll.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.shared.meter.began = now;
        self.shared.meter.tick = self.driver.coarse_time();
    }

    /// Notes that a piece of work has ended.
    #[inline]
    pub(super) fn note_work(&mut self, work: Work, owner: WorkOwner) {
        let tick = self.driver.coarse_time();
        if tick != self.shared.meter.tick {
            self.note_ticks(tick, work, owner);
        }
    }

    #[cold]
    fn note_ticks(&mut self, tick: Duration, work: Work, owner: WorkOwner) {
        let (service, peer) = match owner {
            WorkOwner::Loop => (None, None),
            WorkOwner::Service(service) => (Some(service), None),
            WorkOwner::Connection(key) => {
                let conn = self.connections.get(key);
                (conn.map(crate::connection::Connection::service), conn.map(|conn| *conn.peer()))
            }
        };
        let TurnMeter { tick: before, shares, .. } = &mut self.shared.meter;
        let took = tick.saturating_sub(std::mem::replace(before, tick));
        match shares.iter_mut().find(|share| share.work == work && share.service == service) {
            Some(share) => {
                share.took += took;
                share.peer = peer;
            }
            None => shares.push(WorkShare { work, service, peer, took }),
        }
    }

    /// Notes the work for a source: its step, or the command that came through its pipe.
    #[inline]
    pub(super) fn note_source(&mut self, number: usize) {
        let Some(source) = self.shared.sources.get(number).map(|state| state.source) else { return };
        match source.kind {
            SourceKind::Listener(_) => self.note_work(Work::ACCEPT, WorkOwner::Service(source.service)),
            SourceKind::Udp { .. } => self.note_work(Work::DATAGRAMS, WorkOwner::Service(source.service)),
            SourceKind::Closed => {}
            SourceKind::CommandPipe(_) => self.note_work(Work::COMMAND, WorkOwner::Loop),
        }
    }

    /// Ends the measurement of a turn.
    #[inline]
    pub(super) fn end_turn(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.shared.meter.began);
        let longest = &mut self.shared.worker.stats.longest_turn;
        *longest = took.max(*longest);
        if took > LONG_TURN {
            self.note_long_turn(took);
        } else if !self.shared.meter.shares.is_empty() {
            self.shared.meter.shares.clear();
        }
    }

    /// Counts a long turn for the work that took most of it, and logs it beyond `max_turn`.
    #[cold]
    fn note_long_turn(&mut self, took: Duration) {
        let mut shares = std::mem::take(&mut self.shared.meter.shares);
        let most = shares.drain(..).max_by_key(|share| share.took);
        let Some(WorkShare { work, service, peer, took: share }) = most else {
            // The coarse clock has not advanced after any work, so the time passed elsewhere: in
            // the poll, or while the process was stopped.
            self.shared.meter.shares = shares;
            return;
        };
        self.shared.meter.shares = shares;
        let name = service.map_or("", |service| {
            self.shared.services.get(service.0).map_or("", |registered| &registered.options.name)
        });
        let worker = &mut self.shared.worker;
        worker.stats.count_long_turn(name, work, took);
        worker.warn_of_long_turn(name, work, peer.as_ref(), (took, share));
    }
}
