//! The loop that puts an echo load on a server: one poll, one slab of connections, and a queue of
//! connections to open.
//!
//! The driver knows which connections are open and which have ended. [`EchoClient`] handles what
//! happens on one connection, and [`phase_changes`](super::phase_changes) decides when the run
//! enters its next phase.

use std::io;
use std::time::Duration;

use super::config::{Activity, LoadConfig};
use super::connect_queue::{BACKLOG_RETRY_DELAY, ConnectQueue, RECONNECT_DELAY, local_limit_error};
use super::echo_client::{EchoClient, NextStep};
use super::end::ConnectionEnd;
use super::error::LoadError;
use super::in_flight::SentMessage;
use super::net::{LoadSocket, Poller, SocketEvent};
use super::observer::LoadObserver;
use super::outcome::LoadOutcome;
use super::phases::{LISTEN_ON, LoadPhase, Phases, nanos};
use super::run_context::{RunContext, SendPolicy};
use crate::engine::slab::GenerationalSlab;

/// Puts the load of `config` on a server, and reports its progress to `observer`.
///
/// # Errors
/// [`LoadError`] if the load could not be put on at all. Faults of the server are in the
/// [`LoadOutcome`].
pub fn run(config: &LoadConfig, observer: &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError> {
    config.check()?;
    LoadDriver::new(config)?.run(observer)
}

/// A run of an echo load.
pub(super) struct LoadDriver<'a> {
    pub(super) config: &'a LoadConfig,
    poller: Poller,
    pub(super) context: RunContext,
    pub(super) clients: GenerationalSlab<EchoClient>,
    /// The planned connections, then the slow readers.
    pub(super) slots: Vec<ClientSlot>,
    pub(super) connect_queue: ConnectQueue,
    /// Keys of clients that have work left after their step.
    pub(super) runnable: Vec<usize>,
    /// Events of the last poll.
    events: Vec<SocketEvent>,
    pub(super) phases: Phases,
    /// Last phase: the time since which no answer is outstanding.
    pub(super) done_since_ns: Option<u64>,
    /// Slots whose first connect has neither succeeded nor failed.
    pub(super) unresolved: usize,
    /// Connections opened so far. Each gets the next number as its identity in the messages.
    opened: u32,
    /// At least one planned connection has been established.
    pub(super) ever_connected: bool,
    pub(super) last_connect_error: Option<io::Error>,
    /// Slow readers that the server has disconnected.
    pub(super) cut_off: usize,
    /// Length of the connecting phase.
    pub(super) connecting_ns: u64,
}

/// A planned connection. Reconnecting gives the slot a new client.
#[derive(Clone, Copy)]
pub(super) struct ClientSlot {
    /// Slab key of the current client.
    pub(super) key: Option<usize>,
    /// The first connect has succeeded or failed.
    is_resolved: bool,
    /// Open loop: number of the slot's next message in the schedule.
    pub(super) next_number: u64,
    /// The time since which the server's backlog has been full for this slot.
    backlog_full_since_ns: Option<u64>,
}

impl<'a> LoadDriver<'a> {
    fn new(config: &'a LoadConfig) -> Result<Self, LoadError> {
        let context = RunContext::new(config)?;
        let count = config.connections + config.slow_readers;
        let mut connect_queue = ConnectQueue::default();
        let interval = config.ramp / u32::try_from(config.connections).unwrap_or(u32::MAX).max(1);
        for slot in 0..count {
            let steps = u32::try_from(slot.min(config.connections)).unwrap_or(u32::MAX);
            connect_queue.schedule(nanos(interval.saturating_mul(steps)), slot);
        }
        let slot = |number| ClientSlot {
            key: None,
            is_resolved: false,
            next_number: number as u64,
            backlog_full_since_ns: None,
        };
        Ok(Self {
            config,
            poller: Poller::new().map_err(LoadError::System)?,
            context,
            clients: GenerationalSlab::new(),
            slots: (0..count).map(slot).collect(),
            connect_queue,
            runnable: Vec::new(),
            events: Vec::new(),
            phases: Phases::new(config.warm_up, config.duration),
            done_since_ns: None,
            unresolved: count,
            opened: 0,
            ever_connected: false,
            last_connect_error: None,
            cut_off: 0,
            connecting_ns: 0,
        })
    }

    fn run(mut self, observer: &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError> {
        self.set_send_policy();
        while self.advance(observer)?.is_continue() {
            self.connect_due()?;
            self.send_due()?;
            self.step_runnable()?;
            self.poll()?;
            self.handle_events()?;
        }
        Ok(self.outcome())
    }

    /// Gives up every message that has waited for its answer longer than the answer timeout.
    pub(super) fn expire(&mut self) -> Result<(), LoadError> {
        let Some(sent_ns) = self.context.now_ns.checked_sub(nanos(self.config.reply_timeout)) else { return Ok(()) };
        for key in self.clients.keys() {
            let Some(client) = self.clients.get_mut(key) else { continue };
            let lost_before = self.context.recorder.faults.lost;
            if let Some(error) = client.take_local_error(sent_ns) {
                return Err(LoadError::System(error));
            }
            if let Err(end) = client.expire(sent_ns, &mut self.context) {
                self.handle_end(key, end)?;
            } else if self.context.recorder.faults.lost > lost_before {
                self.runnable.push(key);
            }
        }
        Ok(())
    }

    fn connect_due(&mut self) -> Result<(), LoadError> {
        while let Some(slot) = self.connect_queue.take_due(self.context.now_ns) {
            self.connect(slot)?;
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) -> Result<(), LoadError> {
        self.context.read_clock();
        let socket = match LoadSocket::connect(&self.config.target) {
            Ok(socket) => socket,
            // The backlog of a Unix-domain socket is full: EAGAIN in unix(7).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.handle_full_backlog(index),
            Err(error) => return self.handle_refused(index, error),
        };
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        slot.backlog_full_since_ns = None;
        let is_slow_reader = index >= self.config.connections;
        let client = EchoClient::new(socket, index, self.opened, slot.next_number, is_slow_reader, &self.context);
        self.opened = self.opened.wrapping_add(1);
        let key = self.clients.insert(client);
        slot.key = Some(key);
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        self.poller.register(client.socket(), key).map_err(LoadError::System)?;
        if client.is_connecting() {
            self.connect_queue.pending += 1;
        } else {
            self.handle_connected(index);
            self.runnable.push(key);
        }
        Ok(())
    }

    /// Retries after a delay, because no event reports that the backlog has room again. After the
    /// answer timeout the connect counts as refused.
    fn handle_full_backlog(&mut self, index: usize) -> Result<(), LoadError> {
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        let since_ns = *slot.backlog_full_since_ns.get_or_insert(self.context.now_ns);
        if self.context.now_ns - since_ns >= nanos(self.config.reply_timeout) {
            slot.backlog_full_since_ns = None;
            return self.handle_refused(index, io::ErrorKind::TimedOut.into());
        }
        self.connect_queue.schedule(self.context.now_ns + nanos(BACKLOG_RETRY_DELAY), index);
        Ok(())
    }

    fn handle_connected(&mut self, index: usize) {
        self.ever_connected |= index < self.config.connections;
        self.resolve(index);
    }

    /// Notes that the slot's first connect has succeeded or failed.
    fn resolve(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index)
            && !slot.is_resolved
        {
            slot.is_resolved = true;
            self.unresolved -= 1;
        }
    }

    fn handle_refused(&mut self, index: usize, error: io::Error) -> Result<(), LoadError> {
        if let Some(error) = local_limit_error(&error) {
            return Err(LoadError::Connect(error));
        }
        self.context.recorder.faults.refused += 1;
        self.last_connect_error = Some(error);
        self.resolve(index);
        self.reconnect_later(index);
        Ok(())
    }

    fn reconnect_later(&mut self, index: usize) {
        if self.phases.phase != LoadPhase::Finishing
            && self.config.activity != Activity::Idle
            && index < self.config.connections
        {
            self.connect_queue.schedule(self.context.now_ns + nanos(RECONNECT_DELAY), index);
        }
    }

    /// Sends the messages that have become due in the schedule.
    fn send_due(&mut self) -> Result<(), LoadError> {
        let now_ns = self.context.now_ns;
        let SendPolicy::Scheduled(schedule) = &mut self.context.send_policy else { return Ok(()) };
        let due = schedule.advance(now_ns);
        let connections = schedule.connections;
        for number in due.take(self.config.connections) {
            let slot = self.slots.get(usize::try_from(number % connections).unwrap_or(0));
            if let Some(key) = slot.and_then(|slot| slot.key) {
                self.step(key)?;
            }
        }
        Ok(())
    }

    fn step_runnable(&mut self) -> Result<(), LoadError> {
        for key in std::mem::take(&mut self.runnable) {
            self.step(key)?;
        }
        Ok(())
    }

    fn step(&mut self, key: usize) -> Result<(), LoadError> {
        let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_connecting()) else { return Ok(()) };
        let stepped = client.step(&mut self.context);
        self.finish_step(key, stepped)
    }

    fn finish_step(&mut self, key: usize, stepped: Result<NextStep, ConnectionEnd>) -> Result<(), LoadError> {
        // An ICMP error before the first answer means that nothing listens at the UDP address.
        if let Some(error) = self.context.udp_error.take()
            && !self.context.has_received
        {
            return Err(LoadError::Connect(error));
        }
        match stepped {
            Ok(NextStep::Wait) => Ok(()),
            Ok(NextStep::StepAgain) => {
                self.runnable.push(key);
                Ok(())
            }
            Err(end) => self.handle_end(key, end),
        }
    }

    /// Waits for events, until the next connect, send, tick or phase change at the latest.
    fn poll(&mut self) -> Result<(), LoadError> {
        let before_ns = self.context.read_clock();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(before_ns));
        let finished_ns = self.done_since_ns.map(|since_ns| since_ns + nanos(LISTEN_ON));
        let next_ns = self.phases.next_ns(&self.context.recorder, finished_ns);
        let next_ns = self.connect_queue.next_ns().map_or(next_ns, |connect_ns| connect_ns.min(next_ns));
        let timeout = if self.runnable.is_empty() { until(next_ns) } else { Duration::ZERO };
        let next_send = match &self.context.send_policy {
            SendPolicy::Scheduled(schedule) => schedule.next_due_ns().map(until),
            _ => None,
        };
        self.events.clear();
        self.poller.poll(timeout, next_send, &mut self.events).map_err(LoadError::System)?;
        self.phases.waited_ns += self.context.read_clock() - before_ns;
        Ok(())
    }

    fn handle_events(&mut self) -> Result<(), LoadError> {
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.handle_event(*event)?;
            // 1,024 events take milliseconds. Messages that become due meanwhile leave after the
            // current event, not after the last.
            self.send_due()?;
        }
        self.events = events;
        Ok(())
    }

    fn handle_event(&mut self, event: SocketEvent) -> Result<(), LoadError> {
        // An earlier event of the same poll may have ended the connection.
        let Some(client) = self.clients.get_mut(event.key) else { return Ok(()) };
        let was_connecting = client.is_connecting();
        let stepped = client.handle_event(event, &mut self.context);
        if was_connecting && !client.is_connecting() {
            let index = client.slot;
            self.connect_queue.pending -= 1;
            self.handle_connected(index);
        }
        self.finish_step(event.key, stepped)
    }

    /// Removes a connection that has ended, and schedules its successor.
    fn handle_end(&mut self, key: usize, end: ConnectionEnd) -> Result<(), LoadError> {
        let Some(mut client) = self.clients.remove(key) else { return Ok(()) };
        let index = client.slot;
        if client.is_connecting() {
            self.connect_queue.pending -= 1;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            (slot.key, slot.next_number) = (None, client.next_number);
        }
        if let ConnectionEnd::Refused(error) = end {
            return self.handle_refused(index, error);
        }
        if client.is_slow_reader() {
            self.cut_off += 1;
            return Ok(());
        }
        client.lose_all(&mut self.context.recorder, self.context.now_ns);
        match end {
            ConnectionEnd::Finished => {
                if let Some((began_ns, bytes)) = client.completed_exchange() {
                    let now_ns = self.context.read_clock();
                    let sent = SentMessage { due_ns: began_ns, sent_ns: began_ns };
                    self.context.recorder.record_correct(sent, bytes, now_ns);
                }
                if self.phases.phase != LoadPhase::Finishing {
                    self.connect_queue.schedule(self.context.now_ns, index);
                }
            }
            ConnectionEnd::Broken => {
                self.context.recorder.faults.broken += 1;
                self.reconnect_later(index);
            }
            ConnectionEnd::Garbled | ConnectionEnd::Refused(_) => self.reconnect_later(index),
        }
        Ok(())
    }
}
