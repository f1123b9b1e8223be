//! The loop that puts a load on: one poll, one slab of connections, and what is open or to be opened.
//!
//! It knows what is to be open and what ended; what happens on a connection is the connection's own business, and when a run goes
//! from one stage to the next is in [`stages`](super::phase_changes).

use std::io;
use std::time::Duration;

use super::config::{Activity, LoadConfig};
use super::connect_queue::{AGAIN_AFTER, BACKLOG_AGAIN_AFTER, ConnectQueue, exhausted};
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

/// A run.
pub(super) struct LoadDriver<'a> {
    pub(super) config: &'a LoadConfig,
    pub(super) net: Poller,
    pub(super) context: RunContext,
    pub(super) clients: GenerationalSlab<EchoClient>,
    /// By number: the planned connections, and then the slow readers.
    pub(super) slots: Vec<ClientSlot>,
    pub(super) connect_queue: ConnectQueue,
    /// Clients that stopped only to let others have their turn.
    pub(super) again: Vec<usize>,
    /// Events of one poll.
    pub(super) ready: Vec<SocketEvent>,
    pub(super) phases: Phases,
    pub(super) settled_ns: Option<u64>,
    /// Lines whose first attempt is not decided.
    pub(super) undecided: usize,
    /// Clients that have been connected so far; each is a new one to the server.
    pub(super) opened: u32,
    /// Whether any of the planned connections ever stood.
    pub(super) stood: bool,
    pub(super) last_refusal: Option<io::Error>,
    pub(super) cut_off: usize,
    pub(super) connecting_ns: u64,
}

/// A connection as planned, whichever socket it has now.
#[derive(Clone, Copy)]
pub(super) struct ClientSlot {
    pub(super) key: Option<usize>,
    pub(super) is_decided: bool,
    /// Open loop: its next message by the timetable.
    pub(super) next: u64,
    /// Since when it has found no room in the server's backlog.
    pub(super) crowded_out_ns: Option<u64>,
}

impl<'a> LoadDriver<'a> {
    pub(super) fn new(config: &'a LoadConfig) -> Result<Self, LoadError> {
        let context = RunContext::new(config)?;
        let count = config.connections + config.slow_readers;
        let mut connect_queue = ConnectQueue::default();
        let ramp = config.ramp / u32::try_from(config.connections).unwrap_or(u32::MAX).max(1);
        for line in 0..count {
            let steps = u32::try_from(line.min(config.connections)).unwrap_or(u32::MAX);
            connect_queue.config(nanos(ramp.saturating_mul(steps)), line);
        }
        let line = |number| ClientSlot { key: None, is_decided: false, next: number as u64, crowded_out_ns: None };
        Ok(Self {
            config,
            net: Poller::new().map_err(LoadError::System)?,
            context,
            clients: GenerationalSlab::new(),
            slots: (0..count).map(line).collect(),
            connect_queue,
            again: Vec::new(),
            ready: Vec::new(),
            phases: Phases::new(config.warm_up, config.duration),
            settled_ns: None,
            undecided: count,
            opened: 0,
            stood: false,
            last_refusal: None,
            cut_off: 0,
            connecting_ns: 0,
        })
    }

    pub(super) fn run(mut self, observer: &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError> {
        self.give_orders();
        while self.advance(observer)?.is_continue() {
            self.dial()?;
            self.send_due()?;
            self.step_again()?;
            self.poll()?;
            self.handle_events()?;
        }
        Ok(self.outcome())
    }

    /// Gives up what was not answered in time.
    pub(super) fn expire(&mut self) -> Result<(), LoadError> {
        let Some(sent_ns) = self.context.now_ns.checked_sub(nanos(self.config.answer_timeout)) else { return Ok(()) };
        for key in self.clients.keys() {
            let Some(client) = self.clients.get_mut(key) else { continue };
            let lost = self.context.recorder.faults.lost;
            if let Some(error) = client.take_own_failure(sent_ns) {
                return Err(LoadError::System(error));
            }
            if let Err(end) = client.expire(sent_ns, &mut self.context) {
                self.end(key, end)?;
            } else if self.context.recorder.faults.lost > lost {
                self.again.push(key);
            }
        }
        Ok(())
    }

    fn dial(&mut self) -> Result<(), LoadError> {
        while let Some(line) = self.connect_queue.take_due(self.context.now_ns) {
            self.open(line)?;
        }
        Ok(())
    }

    fn open(&mut self, number: usize) -> Result<(), LoadError> {
        self.context.read_clock();
        let socket = match LoadSocket::connect(&self.config.target) {
            Ok(socket) => socket,
            // A Unix-domain socket's backlog is full: unix(7).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.crowded_out(number),
            Err(error) => return self.refused(number, error),
        };
        let Some(line) = self.slots.get_mut(number) else { return Ok(()) };
        line.crowded_out_ns = None;
        let never_reads = number >= self.config.connections;
        let client = EchoClient::new(socket, number, self.opened, line.next, never_reads, &self.context);
        self.opened = self.opened.wrapping_add(1);
        let key = self.clients.insert(client);
        line.key = Some(key);
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        self.net.register(client.socket(), key).map_err(LoadError::System)?;
        if client.is_connecting() {
            self.connect_queue.pending += 1;
        } else {
            self.stands(number);
            self.again.push(key);
        }
        Ok(())
    }

    /// There is room in the backlog when the server accepts, and no event tells. One that never does is not asked for ever.
    fn crowded_out(&mut self, number: usize) -> Result<(), LoadError> {
        let Some(line) = self.slots.get_mut(number) else { return Ok(()) };
        let since_ns = *line.crowded_out_ns.get_or_insert(self.context.now_ns);
        if self.context.now_ns - since_ns >= nanos(self.config.answer_timeout) {
            line.crowded_out_ns = None;
            return self.refused(number, io::ErrorKind::TimedOut.into());
        }
        self.connect_queue.config(self.context.now_ns + nanos(BACKLOG_AGAIN_AFTER), number);
        Ok(())
    }

    fn stands(&mut self, number: usize) {
        self.stood |= number < self.config.connections;
        self.decide(number);
    }

    /// It stands, or will not.
    fn decide(&mut self, number: usize) {
        if let Some(line) = self.slots.get_mut(number)
            && !line.is_decided
        {
            line.is_decided = true;
            self.undecided -= 1;
        }
    }

    fn refused(&mut self, number: usize, error: io::Error) -> Result<(), LoadError> {
        if let Some(error) = exhausted(&error) {
            return Err(LoadError::Connect(error));
        }
        self.context.recorder.faults.refused += 1;
        self.last_refusal = Some(error);
        self.decide(number);
        self.open_again(number);
        Ok(())
    }

    fn open_again(&mut self, number: usize) {
        if self.phases.phase != LoadPhase::Finishing
            && self.config.activity != Activity::Idle
            && number < self.config.connections
        {
            self.connect_queue.config(self.context.now_ns + nanos(AGAIN_AFTER), number);
        }
    }

    /// Sends what has become due by the timetable.
    fn send_due(&mut self) -> Result<(), LoadError> {
        let now_ns = self.context.now_ns;
        let SendPolicy::Timetable(pace) = &mut self.context.policy else { return Ok(()) };
        let due = pace.advance(now_ns);
        let connections = pace.connections;
        for number in due.take(self.config.connections) {
            let line = self.slots.get(usize::try_from(number % connections).unwrap_or(0));
            if let Some(key) = line.and_then(|line| line.key) {
                self.step(key)?;
            }
        }
        Ok(())
    }

    fn step_again(&mut self) -> Result<(), LoadError> {
        for key in std::mem::take(&mut self.again) {
            self.step(key)?;
        }
        Ok(())
    }

    fn step(&mut self, key: usize) -> Result<(), LoadError> {
        let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_connecting()) else { return Ok(()) };
        let stepped = client.step(&mut self.context);
        self.stepped(key, stepped)
    }

    fn stepped(&mut self, key: usize, stepped: Result<NextStep, ConnectionEnd>) -> Result<(), LoadError> {
        if let Some(refusal) = self.context.refusal.take()
            && !self.context.heard
        {
            return Err(LoadError::Connect(refusal));
        }
        match stepped {
            Ok(NextStep::Wait) => Ok(()),
            Ok(NextStep::StepAgain) => {
                self.again.push(key);
                Ok(())
            }
            Err(end) => self.end(key, end),
        }
    }

    /// Waits for what comes next.
    fn poll(&mut self) -> Result<(), LoadError> {
        let before_ns = self.context.read_clock();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(before_ns));
        let finished_ns = self.settled_ns.map(|settled_ns| settled_ns + nanos(LISTEN_ON));
        let next_ns = self.phases.next_ns(&self.context.recorder, finished_ns);
        let next_ns = self.connect_queue.next_ns().map_or(next_ns, |dial_ns| dial_ns.min(next_ns));
        let timeout = if self.again.is_empty() { until(next_ns) } else { Duration::ZERO };
        let precise =
            if let SendPolicy::Timetable(pace) = &self.context.policy { pace.next_ns().map(until) } else { None };
        self.ready.clear();
        self.net.poll(timeout, precise, &mut self.ready).map_err(LoadError::System)?;
        self.phases.waited_ns += self.context.read_clock() - before_ns;
        Ok(())
    }

    fn handle_events(&mut self) -> Result<(), LoadError> {
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            self.handle_event(*event)?;
            // A thousand events take milliseconds; what becomes due meanwhile is not to wait for the last of them.
            self.send_due()?;
        }
        self.ready = ready;
        Ok(())
    }

    fn handle_event(&mut self, event: SocketEvent) -> Result<(), LoadError> {
        // A connection that ended earlier in this very turn has no more events.
        let Some(client) = self.clients.get_mut(event.key) else { return Ok(()) };
        let was_connecting = client.is_connecting();
        let stepped = client.handle_ready(event, &mut self.context);
        if was_connecting && !client.is_connecting() {
            let number = client.line;
            self.connect_queue.pending -= 1;
            self.stands(number);
        }
        self.stepped(event.key, stepped)
    }

    /// A connection is no more.
    fn end(&mut self, key: usize, end: ConnectionEnd) -> Result<(), LoadError> {
        let Some(mut client) = self.clients.remove(key) else { return Ok(()) };
        let number = client.line;
        if client.is_connecting() {
            self.connect_queue.pending -= 1;
        }
        if let Some(line) = self.slots.get_mut(number) {
            (line.key, line.next) = (None, client.next);
        }
        if let ConnectionEnd::Refused(error) = end {
            return self.refused(number, error);
        }
        if client.never_reads() {
            self.cut_off += 1;
            return Ok(());
        }
        client.lose_all(&mut self.context.recorder, self.context.now_ns);
        match end {
            ConnectionEnd::Finished => {
                if let Some((began_ns, bytes)) = client.exchange() {
                    let now_ns = self.context.read_clock();
                    self.context.recorder.right(SentMessage { due_ns: began_ns, sent_ns: began_ns }, bytes, now_ns);
                }
                if self.phases.phase != LoadPhase::Finishing {
                    self.connect_queue.config(self.context.now_ns, number);
                }
            }
            ConnectionEnd::Broken => {
                self.context.recorder.faults.broken += 1;
                self.open_again(number);
            }
            ConnectionEnd::Garbled | ConnectionEnd::Refused(_) => self.open_again(number),
        }
        Ok(())
    }
}
