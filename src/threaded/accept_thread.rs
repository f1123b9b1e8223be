//! One listener's thread: newcomers are let in and get a thread each, or are told why they cannot stay. Nothing that a peer,
//! `accept` or a refused thread does ends the engine.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags};

use super::connection_slots::Shift;
use super::listener::Listener;
use super::pending_connection::Newcomer;
use super::shared::{Booth, Exchange, lock};
use super::socket::{Plug, Socket, poll};
use super::worker::Agent;
use crate::connection::{Connection, Phase};
use crate::engine::limits::{ACCEPT_PAUSE, MAX_REJECTED_OPEN};
use crate::frame::Framing;
use crate::net::Notifier;
use crate::service::CloseReason;
use crate::service::Peer;

/// A listener's thread.
pub(super) struct Acceptor {
    agent: Agent,
    listener: Listener,
    framing: Framing,
    booth: Arc<Booth>,
    number: usize,
    /// The next connection's.
    bell: Option<Notifier>,
    /// The log has been told, and need not be until accepting has gone well again.
    trouble_logged: bool,
    /// As for descriptors, so for threads.
    no_thread_logged: bool,
    /// Ends after the listener is closed: fields are dropped in order.
    _shift: Shift,
}

impl Acceptor {
    pub(super) fn new(
        exchange: Arc<Exchange>,
        listener: Listener,
        framing: Framing,
        booth: Arc<Booth>,
        number: usize,
    ) -> Self {
        let (tally, shift) = (exchange.staff_tally(), exchange.porters.begin());
        let agent = Agent::new(exchange, tally);
        let (bell, trouble_logged, no_thread_logged) = (None, false, false);
        Self { agent, listener, framing, booth, number, bell, trouble_logged, no_thread_logged, _shift: shift }
    }

    /// Accepts until no more newcomers are to be let in. Then the listener is closed.
    pub(super) fn run(mut self) {
        while !self.agent.exchange.is_closing() {
            self.agent.publish();
            // Before anybody is accepted, who would have to be turned away for want of it.
            if let Err(error) = self.have_bell() {
                self.await_newcomer();
                self.pause(&error);
                continue;
            }
            match self.listener.accept() {
                Ok((socket, peer)) => {
                    self.agent.look_at_the_clock();
                    self.admit(Arc::new(socket), peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.trouble_logged = false;
                    self.await_newcomer();
                }
                // The newcomer left while it waited, which is nobody's fault; the next in the backlog is another matter.
                Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
                // Descriptors or kernel memory have run out, or the network is down (accept(2)): trying again at once would
                // only burn the processor.
                Err(error) => self.pause(&error),
            }
        }
        self.agent.publish();
    }

    fn await_newcomer(&self) {
        let change = PollFd::new(&self.agent.exchange.closing, PollFlags::IN);
        poll(&mut [PollFd::new(&self.listener, PollFlags::IN), change], None);
    }

    /// Sees to it that the next connection has a bell, if others will reach it.
    fn have_bell(&mut self) -> io::Result<()> {
        if self.bell.is_none() && !self.booth.per_connection {
            self.bell = Some(Notifier::new()?);
        }
        Ok(())
    }

    fn pause(&mut self, error: &io::Error) {
        self.agent.desk.stats.accept_pauses += 1;
        self.agent.publish();
        // The retries that find nothing changed are not worth a line each.
        let logged = std::mem::replace(&mut self.trouble_logged, true);
        let level = if logged { log::Level::Debug } else { log::Level::Warn };
        log::log!(
            level,
            "{} pauses accepting, until a connection closes or for {ACCEPT_PAUSE:?}: {error}",
            self.booth.name
        );
        let exchange = &self.agent.exchange;
        let change = PollFd::new(&exchange.closing, PollFlags::IN);
        let Some(bell) = exchange.accepting.get(self.number) else { return };
        exchange.paused.fetch_add(1, Ordering::AcqRel);
        poll(&mut [change, PollFd::new(bell, PollFlags::IN)], Some(ACCEPT_PAUSE));
        exchange.paused.fetch_sub(1, Ordering::AcqRel);
        bell.clear();
    }

    fn admit(&mut self, socket: Arc<Socket>, peer: Peer) {
        let exchange = Arc::clone(&self.agent.exchange);
        let limits = &exchange.limits;
        let refusal = if !exchange.places.take() {
            CloseReason::MaxConnections(limits.max_connections)
        } else if exchange.budget.is_over() {
            exchange.places.free(false, peer);
            CloseReason::BufferBudget(limits.max_buffered_bytes)
        } else if let Err(error) = self.start(&socket, peer) {
            exchange.places.free(false, peer);
            let level = if self.no_thread_logged { log::Level::Debug } else { log::Level::Warn };
            self.no_thread_logged = true;
            log::log!(level, "{} has no thread for {peer}: {error}", self.booth.name);
            CloseReason::NoThread
        } else {
            exchange.refusing.store(false, Ordering::Relaxed);
            self.no_thread_logged = false;
            self.agent.desk.stats.accepted += 1;
            self.agent.publish();
            return;
        };
        self.refuse(socket, peer, refusal);
    }

    /// Gives a newcomer its thread.
    fn start(&mut self, socket: &Arc<Socket>, peer: Peer) -> io::Result<()> {
        let newcomer = Newcomer {
            socket: Arc::clone(socket),
            peer,
            framing: self.framing,
            bell: self.bell.take(),
            reads_are_limited: self.listener.limits_reads(),
        };
        newcomer.start(&self.agent.exchange, &self.booth, self.agent.desk.clock.moment)
    }

    /// Turns a newcomer away. No service ever hears of it.
    fn refuse(&mut self, socket: Arc<Socket>, peer: Peer, reason: CloseReason) {
        let exchange = Arc::clone(&self.agent.exchange);
        self.agent.desk.stats.refused += 1;
        self.agent.publish();
        if exchange.refused_open.load(Ordering::Relaxed) >= MAX_REJECTED_OPEN {
            return;
        }
        let logged = exchange.refusing.swap(true, Ordering::Relaxed);
        let level = if logged { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "{peer} turned away: {reason}");
        let moment = self.agent.desk.clock.moment;
        let mut conn = Connection::new(Plug::new(socket), peer, self.booth.id, self.framing, &exchange.limits, moment);
        conn.reject(reason, self.booth.rejection, &mut self.agent.desk);
        if conn.phase() == Phase::Closed {
            return;
        }
        // It has no thread, and may be here because there is none: the thread that runs the engine sees it off.
        exchange.refused_open.fetch_add(1, Ordering::Relaxed);
        lock(&exchange.refused).push(conn);
        exchange.control.notify();
    }
}
