//! The loop that puts a load on a server: one poll, one table of connections, and a queue of
//! connections to open.
//!
//! The driver opens and closes connections, and calls the [`Workload`] for their messages.
//! [`step`](super::step) handles what happens on one connection, and
//! [`phase_changes`](super::phase_changes) decides when the run enters its next phase.

use std::io;
use std::time::Duration;

use super::config::{Activity, DriverConfig};
use super::connect_queue::{BACKLOG_RETRY_DELAY, ConnectQueue, RECONNECT_DELAY, local_limit_error};
use super::connection::{ConnectionEnd, ConnectionResult, ConnectionState, LoadConnection};
use super::connections::Connections;
use super::error::LoadError;
use super::net::{LoadSocket, Poller, SocketEvent};
use super::observer::LoadObserver;
use super::outcome::LoadOutcome;
use super::pace::SendPolicy;
use super::phases::{LISTEN_ON, LoadPhase, Phases, nanos};
use super::run_context::{IoBuffers, RunContext};
use super::step::{self, NextStep};
use super::workload::Workload;

/// A run of a load.
pub(super) struct LoadDriver<'a, W: Workload> {
    pub(super) config: &'a DriverConfig,
    pub(super) workload: W,
    pub(super) context: RunContext,
    pub(super) connections: Connections<W::Client>,
    pub(super) connect_queue: ConnectQueue,
    /// Keys of connections that have work left after their step.
    pub(super) runnable: Vec<usize>,
    pub(super) phases: Phases,
    /// Last phase: the time since which no answer is outstanding.
    pub(super) done_since_ns: Option<u64>,
    /// Everything that had arrived by this time has been handled, except input beyond the read
    /// budget of its connection. Timeouts count from it, so that a
    /// generator without processor time does not charge the server for its own delay.
    pub(super) handled_until_ns: u64,
    /// At least one planned connection has been established.
    pub(super) ever_connected: bool,
    pub(super) last_connect_error: Option<io::Error>,
    /// Slow readers that the server has disconnected.
    pub(super) cut_off: usize,
    /// Length of the connecting phase.
    pub(super) connecting_ns: u64,
    /// The time at which a connection was last established.
    last_established_ns: u64,
    poller: Poller,
    /// Events of the last poll.
    events: Vec<SocketEvent>,
    buffers: IoBuffers,
}

impl<'a, W: Workload> LoadDriver<'a, W> {
    /// Creates a run. A batch of at least `batch_bytes` is written before another message is added.
    ///
    /// # Errors
    /// [`LoadError::System`] if the poll cannot be created.
    pub(super) fn new(config: &'a DriverConfig, batch_bytes: usize, workload: W) -> Result<Self, LoadError> {
        let count = config.connections + config.slow_readers;
        let mut connect_queue = ConnectQueue::default();
        let interval = config.ramp / u32::try_from(config.connections).unwrap_or(u32::MAX).max(1);
        for slot in 0..count {
            let steps = u32::try_from(slot.min(config.connections)).unwrap_or(u32::MAX);
            connect_queue.schedule(nanos(interval.saturating_mul(steps)), slot);
        }
        Ok(Self {
            config,
            workload,
            context: RunContext::new(config.activity)?,
            connections: Connections::new(count),
            connect_queue,
            runnable: Vec::new(),
            phases: Phases::new(config.warm_up, config.duration),
            done_since_ns: None,
            handled_until_ns: 0,
            ever_connected: false,
            last_connect_error: None,
            cut_off: 0,
            connecting_ns: 0,
            last_established_ns: 0,
            poller: Poller::new().map_err(LoadError::System)?,
            events: Vec::new(),
            buffers: IoBuffers::new(batch_bytes),
        })
    }

    /// Runs the load to its end, and reports its progress to `observer`.
    ///
    /// # Errors
    /// [`LoadError`] if the load could not be put on at all.
    pub(super) fn run(mut self, observer: &mut dyn LoadObserver) -> Result<LoadOutcome<W::Outcome>, LoadError> {
        self.set_send_policy();
        while self.advance(observer)?.is_continue() {
            while let Some(slot) = self.connect_queue.take_due(self.context.now_ns) {
                self.connect(slot)?;
            }
            self.send_due()?;
            let mut runnable = std::mem::take(&mut self.runnable);
            // An event may have queued a connection that was in the queue already.
            runnable.sort_unstable();
            runnable.dedup();
            for key in runnable {
                self.step(key)?;
            }
            let polled_ns = self.poll()?;
            self.handle_events()?;
            self.handled_until_ns = polled_ns;
        }
        Ok(self.outcome())
    }

    fn connect(&mut self, slot: usize) -> Result<(), LoadError> {
        let now_ns = self.context.read_clock();
        let socket = match LoadSocket::connect(&self.config.target) {
            Ok(socket) => socket,
            // The backlog of a Unix-domain socket is full: EAGAIN in unix(7).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.handle_full_backlog(slot),
            Err(error) => return self.handle_refused(slot, error),
        };
        let client = self.workload.new_client(socket.is_datagram());
        let mut connection = LoadConnection::new(socket, slot, now_ns, client);
        connection.is_slow_reader = slot >= self.config.connections;
        let is_established = connection.is_established();
        let key = self.connections.insert(connection);
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        self.poller.register(&connection.socket, key).map_err(LoadError::System)?;
        if is_established {
            self.handle_established(slot);
            self.runnable.push(key);
        } else {
            self.connect_queue.pending += 1;
        }
        Ok(())
    }

    /// Retries after a delay, because no event reports that the backlog has room again. The connect
    /// counts as refused when the backlog has been full for the answer timeout, and no other
    /// connection has been established meanwhile.
    fn handle_full_backlog(&mut self, slot: usize) -> Result<(), LoadError> {
        let now_ns = self.context.now_ns;
        let since_ns = self.connections.note_full_backlog(slot, now_ns).max(self.last_established_ns);
        if now_ns - since_ns >= nanos(self.config.reply_timeout) {
            self.connections.forget_full_backlog(slot);
            return self.handle_refused(slot, io::ErrorKind::TimedOut.into());
        }
        self.connect_queue.schedule(now_ns + nanos(BACKLOG_RETRY_DELAY), slot);
        Ok(())
    }

    fn handle_established(&mut self, slot: usize) {
        self.ever_connected |= slot < self.config.connections;
        self.last_established_ns = self.context.now_ns;
        self.connections.resolve(slot);
    }

    fn handle_refused(&mut self, slot: usize, error: io::Error) -> Result<(), LoadError> {
        if let Some(error) = local_limit_error(&error) {
            return Err(LoadError::Connect(error));
        }
        self.context.recorder.faults.refused += 1;
        self.last_connect_error = Some(error);
        self.connections.resolve(slot);
        self.reconnect_later(slot);
        Ok(())
    }

    fn reconnect_later(&mut self, slot: usize) {
        if W::RECONNECTS
            && self.phases.phase != LoadPhase::Finishing
            && self.config.activity != Activity::Idle
            && slot < self.config.connections
        {
            self.connect_queue.schedule(self.context.now_ns + nanos(RECONNECT_DELAY), slot);
        }
    }

    /// Sends the messages that have become due in the schedule, and those that the workload sends
    /// now.
    fn send_due(&mut self) -> Result<(), LoadError> {
        let now_ns = self.context.now_ns;
        if let SendPolicy::Scheduled(schedule) = &mut self.context.send_policy {
            let (due, senders) = (schedule.advance(now_ns), schedule.senders);
            for number in due.take(self.connections.senders.len()) {
                let place = usize::try_from(number % senders).unwrap_or(0);
                let slot = self.connections.senders.get(place).copied();
                self.step_slot(slot)?;
            }
        }
        while let Some(slot) = self.workload.next_ready(&self.context) {
            self.step_slot(Some(slot))?;
        }
        Ok(())
    }

    fn step_slot(&mut self, slot: Option<usize>) -> Result<(), LoadError> {
        let key = slot.and_then(|slot| self.connections.key_of(slot));
        key.map_or(Ok(()), |key| self.step(key))
    }

    fn step(&mut self, key: usize) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        let stepped = step::step(&mut self.workload, connection, &mut self.context, &mut self.buffers);
        self.finish_step(key, stepped)
    }

    fn finish_step(&mut self, key: usize, stepped: ConnectionResult<NextStep>) -> Result<(), LoadError> {
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

    /// Waits for events, until the next connect, send, tick or phase change at the latest. Returns
    /// the time at which the wait began.
    fn poll(&mut self) -> Result<u64, LoadError> {
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
        Ok(before_ns)
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
        let Some(connection) = self.connections.get_mut(event.key) else { return Ok(()) };
        let was_established = connection.is_established();
        let stepped = step::handle_event(&mut self.workload, connection, event, &mut self.context, &mut self.buffers);
        if !was_established && connection.is_established() {
            let slot = connection.slot;
            self.connect_queue.pending -= 1;
            self.handle_established(slot);
        }
        self.finish_step(event.key, stepped)
    }

    /// Removes a connection that has ended, and schedules its successor.
    fn handle_end(&mut self, key: usize, end: ConnectionEnd) -> Result<(), LoadError> {
        let Some(mut connection) = self.connections.remove(key) else { return Ok(()) };
        let slot = connection.slot;
        if let ConnectionEnd::LocalError(error) = end {
            return Err(LoadError::System(error));
        }
        if !connection.is_established() {
            self.connect_queue.pending -= 1;
            let error = if let ConnectionEnd::Refused(error) = end { error } else { io::ErrorKind::InvalidData.into() };
            return self.handle_refused(slot, error);
        }
        if connection.is_slow_reader {
            self.cut_off += 1;
            return Ok(());
        }
        self.workload.on_end(&mut connection, &end, &mut self.context);
        if let ConnectionEnd::Finished = end {
            if self.phases.phase != LoadPhase::Finishing {
                self.connect_queue.schedule(self.context.now_ns, slot);
            }
            return Ok(());
        }
        // Garbled input has already been counted as a fault.
        self.context.recorder.faults.broken += u64::from(matches!(end, ConnectionEnd::Broken));
        self.reconnect_later(slot);
        Ok(())
    }

    /// Gives up every connect, close and message that has lasted longer than the answer timeout.
    pub(super) fn expire(&mut self) -> Result<(), LoadError> {
        let overdue_ns = self.handled_until_ns.checked_sub(nanos(self.config.reply_timeout));
        self.workload.on_tick(overdue_ns);
        let Some(overdue_ns) = overdue_ns else { return Ok(()) };
        for key in self.connections.keys() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let is_overdue = connection.connect_began_ns <= overdue_ns;
            let expired = match connection.state {
                ConnectionState::Closing if is_overdue => Err(ConnectionEnd::Broken),
                ConnectionState::Open => self.workload.expire(connection, overdue_ns, &mut self.context),
                ConnectionState::Connecting | ConnectionState::Handshaking if is_overdue => {
                    Err(ConnectionEnd::Refused(self.workload.connect_timeout_error()))
                }
                _ => Ok(false),
            };
            match expired {
                Ok(false) => {}
                Ok(true) => self.runnable.push(key),
                Err(end) => self.handle_end(key, end)?,
            }
        }
        Ok(())
    }
}
