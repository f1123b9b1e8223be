//! The thread that runs the engine: it starts the others and waits for what concerns no connection. Posts and commands, timers
//! of nobody, newcomers that were turned away, memory that does not come free, the drain and its deadline.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags};

use super::shared::{Exchange, Reach, Run, lock};
use super::socket::{Plug, poll};
use super::worker::Agent;
use crate::connection::{Connection, Phase};
use crate::engine::handle::{Command, HandleReceiver};
use crate::service::Context;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, Service, ServiceId};

/// Input of those who were turned away is read into it, and forgotten.
const SCRAP_BYTES: usize = 4 * 1024;

/// The thread that runs the engine.
pub(super) struct Control {
    agent: Agent,
    inbox: HandleReceiver,
    pipes: Vec<(UnixStream, Command)>,
    refused: Vec<Connection<Plug>>,
    drain_ends: Option<Timestamp>,
    /// The drain has ended because its time was up.
    out_of_time: bool,
}

impl Control {
    pub(super) fn new(exchange: Arc<Exchange>, inbox: HandleReceiver, pipes: Vec<(UnixStream, Command)>) -> Self {
        let tally = exchange.staff_tally();
        let agent = Agent::new(exchange, tally);
        Self { agent, inbox, pipes, refused: Vec::new(), drain_ends: None, out_of_time: false }
    }

    /// What was asked before anybody came. Whether the engine is to begin at all.
    pub(super) fn begin(&mut self) -> bool {
        self.take_commands();
        self.agent.exchange.run() == Run::Serving
    }

    /// Runs until the engine is stopped, or drained and nobody is left.
    pub(super) fn run(&mut self) {
        while self.goes_on() {
            self.agent.publish();
            self.wait();
            self.agent.look_at_the_clock();
            self.agent.desk.stats.turns += 1;
            self.take_jobs();
            self.take_commands();
            for service in self.agent.exchange.take_flushes() {
                self.call(service, |service, cx| service.on_turn_end(cx));
            }
            self.go_on_draining();
            self.see_off();
            self.fire_timers();
            self.shed_largest();
            if self.drain_ends.is_some_and(|at| at <= self.agent.desk.clock.moment) {
                self.out_of_time = true;
                self.agent.exchange.set_run(Run::Stopped);
            }
        }
        self.agent.exchange.set_run(Run::Stopped);
        self.refused.clear();
        self.agent.publish();
    }

    /// Waits for the last thread to go. All have been told to.
    pub(super) fn see_all_off(&mut self) {
        let exchange = Arc::clone(&self.agent.exchange);
        while !exchange.crew.is_gone() {
            poll(&mut [PollFd::new(&exchange.control, PollFlags::IN)], None);
            exchange.control.clear();
        }
        self.await_carriers();
        let unflushed = exchange.unflushed.load(Ordering::Relaxed);
        if self.out_of_time && unflushed > 0 {
            log::warn!("{unflushed} connections did not take what they were owed in time");
        }
    }

    /// What consoles were told is given to the operator by threads of its own, for which a drain waits like for everything owed.
    fn await_carriers(&mut self) {
        let exchange = Arc::clone(&self.agent.exchange);
        while let Some(at) = self.drain_ends
            && !exchange.carriers.is_gone()
            && !exchange.has_failed()
        {
            let left = at.saturating_since(exchange.clock().moment);
            if left.is_zero() {
                self.out_of_time = true;
                exchange.unflushed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            poll(&mut [PollFd::new(&exchange.control, PollFlags::IN)], Some(left));
            exchange.control.clear();
        }
    }

    fn goes_on(&self) -> bool {
        match self.agent.exchange.run() {
            Run::Serving => true,
            Run::Draining => !self.agent.exchange.crew.is_gone() || !self.refused.is_empty(),
            Run::Stopped => false,
        }
    }

    fn wait(&mut self) {
        let exchange = &self.agent.exchange;
        let limits = &exchange.limits;
        let leaving = self.refused.iter().filter_map(|conn| conn.deadline(limits).map(|(at, _)| at));
        let others = [self.drain_ends, exchange.alarms.next_of(ConnId::NONE), exchange.budget.patience_ends()];
        let next = others.into_iter().flatten().chain(leaving).min();
        let timeout = next.map(|at| at.saturating_since(exchange.clock().moment));
        let mut watched = vec![PollFd::new(&exchange.control, PollFlags::IN)];
        watched.extend(self.pipes.iter().map(|(pipe, _)| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(self.refused.iter().map(|conn| {
            let events = if conn.pending_bytes() > 0 { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            PollFd::new(conn.stream(), events)
        }));
        poll(&mut watched, timeout);
        let ready: Vec<bool> = watched.iter().map(|watched| !watched.revents().is_empty()).collect();
        drop(watched);
        let (bell, others) = ready.split_first().map_or((false, &[][..]), |(bell, others)| (*bell, others));
        if bell {
            exchange.control.clear();
        }
        let (pipes, refused) = others.split_at(self.pipes.len().min(others.len()));
        let mut commands = Vec::new();
        for ((pipe, command), _) in self.pipes.iter_mut().zip(pipes).filter(|(_, ready)| **ready) {
            // To the end of what is there, because it is looked at again for as long as there is anything.
            while matches!(pipe.read(&mut [0; 64]), Ok(1..)) {}
            commands.push(*command);
        }
        for (conn, ready) in self.refused.iter_mut().zip(refused) {
            conn.mark_ready(*ready, *ready, false);
        }
        for command in commands {
            self.obey(command);
        }
    }

    fn take_commands(&mut self) {
        let commands = self.inbox.take_commands();
        // As many as may wait, so that a thread that posts without end cannot keep the engine here.
        for _ in 0..self.agent.desk.limits.max_queued_messages {
            let Some((service, message)) = self.inbox.next_message() else { break };
            self.call(service, |service, cx| service.on_post(cx, message));
        }
        commands.for_each(|command| self.obey(command));
        if self.agent.exchange.drain_asked.swap(false, Ordering::AcqRel) {
            self.drain();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::LogStats => {
                self.agent.publish();
                log::info!("{}", self.agent.exchange.stats());
            }
            Command::Drain => self.drain(),
            Command::Stop => self.agent.exchange.set_run(Run::Stopped),
        }
    }

    /// No newcomers, no further requests; what is owed, and what is being worked on, is still delivered until the deadline.
    fn drain(&mut self) {
        let exchange = &self.agent.exchange;
        if exchange.run() != Run::Serving || self.drain_ends.is_some() {
            return;
        }
        let drain_timeout = exchange.limits.drain_timeout;
        log::info!("draining {} connections, for at most {drain_timeout:?}", exchange.places.open());
        exchange.close();
        self.drain_ends = Some(exchange.clock().moment + drain_timeout);
        self.go_on_draining();
    }

    /// Who is sent away finds the door shut: listeners are closed before anybody is told. The last porter to go rings; one that
    /// a service keeps waiting has no longer than the drain.
    fn go_on_draining(&mut self) {
        let exchange = Arc::clone(&self.agent.exchange);
        if self.drain_ends.is_some() && exchange.run() == Run::Serving && exchange.porters.is_gone() {
            exchange.set_run(Run::Draining);
            for number in 0..exchange.booths.len() {
                self.call(ServiceId(number), |service, cx| service.on_shutdown(cx));
            }
        }
    }

    /// Makes a callback that is about nobody.
    fn call(&mut self, service: ServiceId, callback: impl FnOnce(&mut dyn Service, &mut Context<'_>)) {
        let Some(booth) = self.agent.exchange.booth(service).map(Arc::clone) else { return };
        let Some(mut called) = booth.lock() else { return };
        self.agent.call(called.as_mut(), (service, ConnId::NONE), None, callback);
        drop(called);
        self.agent.deliver();
    }

    /// Tells services what came of work that was about nobody.
    fn take_jobs(&mut self) {
        let done = lock(&self.agent.exchange.workers).take_done();
        for (owner, output) in done {
            self.call(owner.service, |service, cx| service.on_job(cx, owner.job, output));
        }
    }

    fn fire_timers(&mut self) {
        for timer in self.agent.exchange.alarms.due(ConnId::NONE, self.agent.desk.clock.moment) {
            let exchange = Arc::clone(&self.agent.exchange);
            let Some(booth) = exchange.alarms.service_of(timer).and_then(|service| exchange.booth(service)) else {
                continue;
            };
            let Some(mut called) = booth.lock() else { continue };
            // Under the lock, so that a timer is silent from the moment on in which it is taken back.
            if exchange.alarms.take(timer).is_none() {
                continue;
            }
            let id = (booth.id, ConnId::NONE);
            self.agent.call(called.as_mut(), id, None, |service, cx| service.on_timer(cx, timer));
            drop(called);
            self.agent.deliver();
        }
    }

    /// Goes on with those who were turned away: their words are flushed, their input is discarded until they have gone.
    fn see_off(&mut self) {
        let exchange = &self.agent.exchange;
        self.refused.append(&mut lock(&exchange.refused));
        let (now, limits) = (self.agent.desk.clock.moment, &exchange.limits);
        let stats = &mut self.agent.desk.stats;
        let before = self.refused.len();
        let mut scrap = [0; SCRAP_BYTES];
        self.refused.retain_mut(|conn| {
            if conn.flush(now, stats).is_err() {
                return false;
            }
            conn.advance_close(&mut scrap, now);
            conn.phase() != Phase::Closed && conn.deadline(limits).is_none_or(|(at, _)| at > now)
        });
        let gone = before - self.refused.len();
        if gone > 0 {
            exchange.refused_open.fetch_sub(gone, Ordering::Relaxed);
            exchange.descriptor_is_free();
        }
    }

    /// Where connections have held too much for too long, the largest holders go, as many as it takes.
    fn shed_largest(&mut self) {
        let exchange = &self.agent.exchange;
        let now = self.agent.desk.clock.moment;
        let Some(mut excess) = exchange.budget.excess_bytes(now) else { return };
        let directory = exchange.directory.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let held = |entry: &super::shared::Entry| entry.tally.held_bytes.load(Ordering::Relaxed);
        let clients = directory.iter().filter(|(_, entry)| entry.peer != Peer::Console);
        let mut holders: Vec<_> = clients.map(|(_, entry)| (held(entry), entry)).collect();
        holders.sort_unstable_by_key(|(held, _)| *held);
        while excess > 0
            && let Some((held, entry)) = holders.pop()
        {
            excess = excess.saturating_sub(held);
            entry.tally.shed.store(true, Ordering::Release);
            match &entry.reach {
                Reach::Shared(line) => line.bell.notify(),
                // Nothing else reaches a thread that waits for its own connection alone.
                Reach::Private(socket) => socket.shut_reading(),
            }
        }
        drop(directory);
        exchange.budget.be_patient(now);
    }
}
