//! The event loop: its whole state, and one turn of it, in the nine steps of `docs/turn.md`.
//!
//! A connection or source is named by its key, which is also its poll token: a connection's key is
//! its slot and generation, a source's key is its number as a [`reserved_key`]. A key whose owner
//! is gone resolves to `None`, so a late event or action does no harm.
//!
//! [`reserved_key`]: crate::engine::slab::reserved_key

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use super::driver::{Driver, PollCoverage, SourceKind, WAKE_KEY};
use super::state::{DRAIN_KEY, MEMORY_KEY, MemoryPressure, SourceState, TimerOwner, TurnEnd, UdpState};
use crate::connection::{Connection, WorkerContext};
use crate::engine::handle::{Command, HandleReceiver};
use crate::engine::jobs::{WakeFn, WorkerPools};
use crate::engine::run_state::RunState;
use crate::engine::setup::{EngineSetup, RegisteredService};
use crate::engine::slab::{GenerationalSlab, reserved_number};
use crate::engine::stats::Stats;
use crate::engine::timers::Timers;
use crate::frame::BufferPool;
use crate::service::TimerId;
use crate::service::context::{Context, PendingActions, ReplyTo, TurnTime};
use crate::service::reply_buffer::ReplySource;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Service, ServiceId};

/// The size of the receive buffer. All connections share it: a read's whole frames are dispatched
/// from it without a copy.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// The loop and its whole state.
pub(super) struct EventLoop<D: Driver> {
    pub(super) driver: D,
    pub(super) services: Vec<RegisteredService>,
    /// Listeners, UDP sockets and command pipes, by source number.
    pub(super) sources: Vec<SourceState>,
    pub(super) connections: GenerationalSlab<Connection<D::Stream>>,
    /// Keys of connections and sources that may make progress, each at most once.
    pub(super) ready: VecDeque<usize>,
    pub(super) worker: WorkerContext,
    pub(super) receive_buffer: Box<[u8]>,
    pub(super) udp: UdpState,
    /// The loop's own deadlines: at most one for each key. A timer's number is the key.
    pub(super) deadlines: Timers<()>,
    /// The timers that services have set.
    pub(super) timers: Timers<TimerOwner>,
    /// The services' timers by connection, because they end with their connection.
    pub(super) timers_by_connection: BTreeSet<(ConnId, TimerId)>,
    pub(super) turn_end: TurnEnd,
    /// Connections whose `on_close` has yet to be called.
    pub(super) closing: VecDeque<usize>,
    /// Connections that are over and have yet to be removed.
    pub(super) closed: Vec<usize>,
    pub(super) memory: MemoryPressure,
    /// Rejected connections that are still open, to send them the reason. No service has seen them.
    pub(super) open_rejected: BTreeSet<usize>,
    /// Open consoles. They do not count against `max_connections`.
    pub(super) open_consoles: u64,
    /// The latest pending connection was rejected, and that is logged.
    pub(super) is_rejecting: bool,
    pub(super) job_pools: WorkerPools,
    inbox: HandleReceiver,
    /// Another thread has woken the loop: the inbox or the job pools have something.
    woken: bool,
    /// Polls in a row that may have left events unreported.
    partial_polls: usize,
    start: Instant,
    pub(super) run_state: RunState,
}

impl<D: Driver> EventLoop<D> {
    pub(super) fn new(driver: D, setup: EngineSetup, wake: &WakeFn) -> Self {
        let EngineSetup { limits, services, inbox, .. } = setup;
        let start = driver.now();
        let sources = driver.sources();
        let has_udp = sources.iter().any(|source| matches!(source.kind, SourceKind::Udp { .. }));
        let job_pools = WorkerPools::new(&limits, services.iter().map(|it| it.options.job_threads), wake);
        Self {
            services,
            connections: GenerationalSlab::new(),
            ready: VecDeque::new(),
            receive_buffer: vec![0; RECEIVE_BUFFER_BYTES].into_boxed_slice(),
            udp: UdpState::new(has_udp, sources.len()),
            sources: sources.into_iter().map(SourceState::new).collect(),
            deadlines: Timers::new(),
            timers: Timers::new(),
            timers_by_connection: BTreeSet::new(),
            turn_end: TurnEnd::default(),
            closing: VecDeque::new(),
            closed: Vec::new(),
            memory: MemoryPressure::new(&limits),
            open_rejected: BTreeSet::new(),
            open_consoles: 0,
            is_rejecting: false,
            job_pools,
            inbox,
            // The first turn handles what was posted before the loop ran.
            woken: true,
            partial_polls: 0,
            start,
            run_state: RunState::Serving,
            worker: WorkerContext::new(
                limits,
                TurnTime { now: start, timestamp: Timestamp::START },
                PendingActions::default(),
                BufferPool::default(),
            ),
            driver,
        }
    }

    /// Runs the loop until it is stopped, or drained and its last connection is closed.
    pub(super) fn run(mut self) -> io::Result<Stats> {
        // A drain or stop that was asked for before the loop ran takes effect before it begins.
        self.handle_inbox();
        if self.run_state == RunState::Serving {
            self.attach_consoles();
        }
        while self.is_running() {
            self.run_turn()?;
        }
        self.close_all();
        Ok(self.worker.stats)
    }

    pub(super) fn is_running(&self) -> bool {
        match self.run_state {
            RunState::Serving => true,
            RunState::Draining => !self.connections.is_empty() || self.has_pending_datagrams(),
            RunState::Stopped => false,
        }
    }

    /// Runs one turn. The numbers are those of `docs/turn.md`.
    pub(super) fn run_turn(&mut self) -> io::Result<()> {
        // 1 to 4: wait for events, read the clock, and mark what is ready.
        let all_reported = self.poll()?;
        // 5: step each ready connection and source once. A step may queue its owner again, for the
        // next turn.
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { break };
            match reserved_number(key) {
                None => self.step(key),
                Some(number) => self.step_source(number),
            }
        }
        // 6: fire the timers that are due.
        if all_reported {
            self.fire_timers();
        }
        // 7: deliver finished jobs, messages and commands from other threads.
        if std::mem::take(&mut self.woken) {
            self.deliver_jobs();
            self.handle_inbox();
        }
        // 8: deliver closes, call on_turn_end and on_dropped, flush what others have queued.
        self.finish_turn();
        // 9: free what is over, and resume what waited for that.
        self.remove_closed();
        self.relieve_memory();
        self.worker.stats.turns += 1;
        Ok(())
    }

    /// Waits for events, marks their owners ready, and reads the clock. Returns false if events may
    /// be unreported.
    ///
    /// A peer is late only if its bytes did not arrive before the deadline. After a pause of this
    /// process, more events may be ready than one poll reports, so no timer fires until all are.
    fn poll(&mut self) -> io::Result<bool> {
        let timeout = self.poll_timeout(); // 1
        self.partial_polls = match self.poll_and_mark(timeout) {
            // Each poll reports other events first, so after this many polls each connection has
            // been reported, even if every poll is full.
            Ok(PollCoverage::Partial(events)) if self.partial_polls <= self.connections.len() / events.max(1) => {
                self.partial_polls + 1
            }
            Ok(PollCoverage::Complete | PollCoverage::Partial(_)) => 0,
            // A signal arrived, or the process was stopped and continued (epoll_wait(2), EINTR). No
            // event is reported yet.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 1,
            Err(error) => return Err(error),
        };
        let now = self.driver.now(); // 3
        self.worker.clock = TurnTime { now, timestamp: Timestamp::new(self.start, now) };
        Ok(self.partial_polls == 0)
    }

    /// Polls (2), and for each event marks its owner ready and queues it, once (4).
    fn poll_and_mark(&mut self, timeout: Option<Duration>) -> io::Result<PollCoverage> {
        let Self { driver, connections, sources, ready, woken, .. } = self;
        driver.poll(timeout, |event| match reserved_number(event.key) {
            None => {
                let Some(conn) = connections.get_mut(event.key) else { return };
                if conn.mark_ready(event.readiness, event.end) {
                    ready.push_back(event.key);
                }
            }
            Some(_) if event.key == WAKE_KEY => *woken = true,
            Some(number) => {
                if let Some(source) = sources.get_mut(number) {
                    source.readiness.add(event.readiness);
                    if source.mark_scheduled() {
                        ready.push_back(event.key);
                    }
                }
            }
        })
    }

    /// Returns how long the poll may wait: zero if this turn has work already, otherwise until the
    /// next deadline.
    fn poll_timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.woken || self.turn_end.has_work() {
            return Some(Duration::ZERO);
        }
        let next = [self.deadlines.next_deadline(), self.timers.next_deadline()].into_iter().flatten().min()?;
        // The turn's own reading of the clock is as old as the last turn is long.
        Some(next.saturating_since(Timestamp::new(self.start, self.driver.now())))
    }

    fn fire_timers(&mut self) {
        let now = self.worker.clock.timestamp;
        while let Some((id, ())) = self.deadlines.take_due(now) {
            let key = usize::try_from(id.number()).unwrap_or(usize::MAX);
            match key {
                DRAIN_KEY => self.expire_drain(),
                MEMORY_KEY => self.close_largest(),
                _ => match reserved_number(key) {
                    Some(number) => self.resume_accepting(number),
                    None => self.check_deadline(key),
                },
            }
        }
        // Timers that are set from here on wait for the next turn. A timer that sets another for
        // the same time would otherwise keep the loop here.
        let newest = self.worker.pending_actions.newest_number();
        while let Some((id, TimerOwner { service, conn })) = self.timers.take_due_until(now, newest) {
            self.timers_by_connection.remove(&(conn, id));
            self.call_service(service, conn, |service, cx| service.on_timer(cx, id));
        }
    }

    fn deliver_jobs(&mut self) {
        for (owner, output) in self.job_pools.take_done() {
            if let Some(conn) = self.connections.get_mut(owner.conn.0) {
                conn.job_ended();
            }
            self.call_service(owner.service, owner.conn, |service, cx| service.on_job(cx, owner.job, output));
        }
    }

    /// Delivers the messages that other threads have posted, then runs their commands.
    fn handle_inbox(&mut self) {
        let commands = self.inbox.take_commands();
        // At most as many as the inbox holds: a thread that posts without end must not keep the
        // loop here.
        for _ in 0..self.worker.limits.max_queued_messages {
            let Some((service, message)) = self.inbox.next_message() else { break };
            self.call_service(service, ConnId::NONE, |service, cx| service.on_post(cx, message));
        }
        commands.for_each(|command| self.run_command(command));
    }

    fn run_command(&mut self, command: Command) {
        match command {
            Command::LogStats => log::info!("{}", self.worker.stats),
            Command::Drain => self.drain(),
            Command::Stop => self.run_state = RunState::Stopped,
        }
    }

    /// Makes one callback that is not about a frame. Then applies its actions, sends its replies,
    /// and reschedules its connection.
    pub(super) fn call_service(
        &mut self,
        service: ServiceId,
        id: ConnId,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>),
    ) {
        let Self { services, connections, worker, .. } = self;
        let Some(RegisteredService { service: called, .. }) = services.get_mut(service.0) else { return };
        let mut cx = match connections.get_mut(id.0).filter(|conn| conn.accepts_output()) {
            Some(conn) => worker.service_context(id, conn.framing(), ReplySource::NONE, conn.pending_bytes()),
            None => {
                Context { conn: id, clock: worker.clock, reply_to: ReplyTo::None, pending: &mut worker.pending_actions }
            }
        };
        callback(called.as_mut(), &mut cx);
        self.apply_actions(service, id);
        self.send_replies(id.0, &[]);
        self.reschedule(id.0);
    }

    /// Puts the owner of `key` into the ready queue, once.
    pub(super) fn schedule(&mut self, key: usize) {
        let is_new = match reserved_number(key) {
            None => self.connections.get_mut(key).is_some_and(Connection::mark_scheduled),
            Some(number) => self.sources.get_mut(number).is_some_and(SourceState::mark_scheduled),
        };
        if is_new {
            self.ready.push_back(key);
        }
    }

    /// Returns the name of a service for the log.
    pub(super) fn service_name(&self, service: ServiceId) -> &str {
        self.services.get(service.0).map_or("", |registered| &registered.options.name)
    }

    fn step_source(&mut self, number: usize) {
        let Some(state) = self.sources.get_mut(number) else { return };
        state.scheduled = false;
        match state.source.kind {
            SourceKind::Listener(framing) => self.accept(number, framing),
            SourceKind::Udp { .. } => self.step_udp(number),
            SourceKind::CommandPipe(command) => {
                self.driver.clear_wakeup(number);
                self.run_command(command);
            }
        }
    }
}
