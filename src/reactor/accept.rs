//! Newcomers: let in within a budget, told why when they cannot be, and never the end of the loop.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted};

use super::driver::{Attached, Net};
use super::event_loop::Turn;
use crate::connection::Connection;
use crate::engine::limits::{ACCEPT_PAUSE, MAX_REFUSED_OPEN};
use crate::engine::slab::reserved_key;
use crate::frame::Framing;
use crate::service::CloseReason;
use crate::service::TimerId;
use crate::service::{ConnId, Peer, ServiceId};

impl<N: Net> Turn<N> {
    pub(super) fn accept(&mut self, number: usize, framing: Framing) {
        let Some(state) = self.sources.get(number) else { return };
        let service = state.source.service;
        if !state.readable || state.paused {
            return;
        }
        for _ in 0..self.desk.limits.accept_budget {
            match self.net.accept(number) {
                Ok((stream, peer)) => self.admit(stream, peer, service, framing),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(state) = self.sources.get_mut(number) {
                        (state.readable, state.trouble_logged) = (false, false);
                    }
                    return;
                }
                // The newcomer left while it waited, which is nobody's fault; the next in the backlog is another matter.
                Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
                // Descriptors or kernel memory have run out, or the network is down (accept(2)): trying again at once would
                // only burn the processor.
                Err(error) => {
                    self.pause_accepting(number, &error);
                    return;
                }
            }
        }
        self.enqueue(reserved_key(number));
    }

    fn pause_accepting(&mut self, number: usize, error: &io::Error) {
        let Some(state) = self.sources.get_mut(number) else { return };
        state.paused = true;
        let service = state.source.service;
        self.desk.stats.accept_pauses += 1;
        // The retries that find nothing changed are not worth a line each.
        let logged = std::mem::replace(&mut state.trouble_logged, true);
        let level = if logged { log::Level::Debug } else { log::Level::Warn };
        log::log!(
            level,
            "{} pauses accepting, until a connection closes or for {ACCEPT_PAUSE:?}: {error}",
            self.name(service)
        );
        let at = self.desk.clock.moment + ACCEPT_PAUSE;
        self.deadlines.set(TimerId::new(at, reserved_key(number) as u64), ());
    }

    pub(super) fn resume_accepting(&mut self, number: usize) {
        let Some(state) = self.sources.get_mut(number) else { return };
        if std::mem::take(&mut state.paused) {
            self.enqueue(reserved_key(number));
        }
    }

    fn admit(&mut self, stream: N::Stream, peer: Peer, service: ServiceId, framing: Framing) {
        let refusal = self.refusal();
        if refusal.is_some() && self.refused_open >= MAX_REFUSED_OPEN {
            self.desk.stats.refused += 1;
            return;
        }
        let Some(key) = self.watch(stream, peer, service, framing) else { return };
        match refusal {
            None => {
                self.refusing = false;
                self.welcome(key, &peer, service);
            }
            Some(reason) => self.refuse(key, reason),
        }
    }

    /// Lets those in who were there before the loop.
    pub(super) fn attach(&mut self) {
        for Attached { stream, service, framing } in self.net.take_attached() {
            let Some(key) = self.watch(stream, Peer::Console, service, framing) else { continue };
            self.consoles += 1;
            self.welcome(key, &Peer::Console, service);
        }
    }

    /// Gives a newcomer its place, if its stream can be watched.
    fn watch(&mut self, stream: N::Stream, peer: Peer, service: ServiceId, framing: Framing) -> Option<usize> {
        let moment = self.desk.clock.moment;
        let key = self.conns.insert(Connection::new(stream, peer, service, framing, &self.desk.limits, moment));
        if let Err(error) = self.net.open(self.conns.get_mut(key)?.stream_mut(), key) {
            log::warn!("{peer} could not be watched and was closed: {error}");
            self.conns.remove(key);
            return None;
        }
        Some(key)
    }

    fn welcome(&mut self, key: usize, peer: &Peer, service: ServiceId) {
        self.desk.stats.accepted += 1;
        self.desk.stats.open += 1;
        log::debug!("{} {peer} opened", self.name(service));
        self.call(service, ConnId(key), |service, cx| service.on_open(cx, peer));
    }

    fn refusal(&self) -> Option<CloseReason> {
        let limits = &self.desk.limits;
        if self.desk.stats.open - self.consoles >= limits.max_connections as u64 {
            Some(CloseReason::MaxConnections(limits.max_connections))
        } else if self.is_over_budget() {
            Some(CloseReason::BufferBudget(limits.max_buffered_bytes))
        } else {
            None
        }
    }

    /// Turns a newcomer away. No service ever hears of it.
    fn refuse(&mut self, key: usize, reason: CloseReason) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let logged = std::mem::replace(&mut self.refusing, true);
        let level = if logged { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "{} turned away: {reason}", conn.peer());
        self.desk.stats.refused += 1;
        self.refused_open += 1;
        conn.flags().rejected = true;
        let words = self.services.get(conn.service().0).and_then(|registered| registered.service.rejection());
        conn.reject(reason, words, &mut self.desk);
        self.settle(key);
    }
}
