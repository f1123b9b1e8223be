//! The turn: what the loop does, in which order, again and again. The numbers are those of the design.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use super::driver::{Net, Polled, Source, SourceKind, WAKE_KEY};
use super::turn_end::Owed;
use super::udp::Mail;
use super::{close, memory};
use crate::connection::{Connection, WorkerContext};
use crate::engine::handle::{Command, Inbox};
use crate::engine::jobs::{Wake, WorkerPools};
use crate::engine::limits::Limits;
use crate::engine::setup::Registered;
use crate::engine::slab::{GenerationalSlab, reserved_number};
use crate::engine::stats::Stats;
use crate::engine::timers::Timers;
use crate::frame::BufferPool;
use crate::service::TimerId;
use crate::service::context::{Clock, Context, PendingActions, ReplyTo};
use crate::service::reply_buffer::ReplySource;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Service, ServiceId};

/// The receive buffer, in bytes. One for all connections: a read's whole frames are handed out from it where they lie.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// The loop's whole state.
pub(super) struct Turn<N: Net> {
    pub(super) net: N,
    pub(super) services: Vec<Registered>,
    pub(super) sources: Vec<SourceState>,
    pub(super) conns: GenerationalSlab<Connection<N::Stream>>,
    /// Owners of something that may be possible, each at most once.
    pub(super) ready: VecDeque<usize>,
    pub(super) desk: WorkerContext,
    pub(super) buffer: Box<[u8]>,
    pub(super) mail: Mail,
    /// One deadline for each key that has any; its number is the key.
    pub(super) deadlines: Timers<()>,
    pub(super) timers: Timers<TimerOwner>,
    /// The timers of each connection, which end with it.
    pub(super) timers_by_conn: BTreeSet<(ConnId, TimerId)>,
    /// What is to be said at the turn's end.
    pub(super) owed: Owed,
    /// Connections whose service is to be told that they end.
    pub(super) ending: VecDeque<usize>,
    /// Connections that are over.
    pub(super) closed: Vec<usize>,
    pub(super) budget: memory::Budget,
    pub(super) refused_open: usize,
    /// Open consoles, for whom no room has to be made.
    pub(super) consoles: u64,
    /// The last newcomer was turned away, and the log has been told.
    pub(super) refusing: bool,
    pub(super) workers: WorkerPools,
    inbox: Inbox,
    woken: bool,
    /// Polls in a row that may not have reported all that was ready.
    unheard: usize,
    start: Instant,
    pub(super) run: Run,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Serving,
    /// No newcomers, no further requests; what is owed is flushed.
    Draining,
    Stopped,
}

/// Whose timer it is.
#[derive(Clone, Copy)]
pub(super) struct TimerOwner {
    pub(super) service: ServiceId,
    pub(super) conn: ConnId,
}

/// A listener or UDP socket, and what is remembered of it.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and cleared on its own")]
pub(super) struct SourceState {
    pub(super) source: Source,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) queued: bool,
    /// Accepting has been given up until a descriptor is free, or some time has passed.
    pub(super) paused: bool,
    /// The log has been told, and need not be until accepting has gone well again.
    pub(super) trouble_logged: bool,
}

impl<N: Net> Turn<N> {
    pub(super) fn new(net: N, limits: Limits, services: Vec<Registered>, inbox: Inbox, wake: &Wake) -> Self {
        let start = net.now();
        let sources = net.sources();
        let any_mail = sources.iter().any(|source| matches!(source.kind, SourceKind::Datagrams { .. }));
        let remembered = |source| SourceState {
            source,
            readable: false,
            writable: true,
            queued: false,
            paused: false,
            trouble_logged: false,
        };
        let workers = WorkerPools::new(&limits, services.iter().map(|it| it.service.job_threads()), wake);
        Self {
            services,
            conns: GenerationalSlab::new(),
            ready: VecDeque::new(),
            buffer: vec![0; RECEIVE_BUFFER_BYTES].into_boxed_slice(),
            mail: Mail::new(any_mail, sources.len()),
            sources: sources.into_iter().map(remembered).collect(),
            deadlines: Timers::new(),
            timers: Timers::new(),
            timers_by_conn: BTreeSet::new(),
            owed: Owed::default(),
            ending: VecDeque::new(),
            closed: Vec::new(),
            budget: memory::Budget::default(),
            refused_open: 0,
            consoles: 0,
            refusing: false,
            workers,
            inbox,
            // What was posted before the loop ran is looked at in its first turn.
            woken: true,
            unheard: 0,
            start,
            run: Run::Serving,
            desk: WorkerContext::new(
                limits,
                Clock { now: start, moment: Timestamp::START },
                PendingActions::default(),
                BufferPool::default(),
            ),
            net,
        }
    }

    /// Turns until the loop is stopped, or drained and nobody is left.
    pub(super) fn run(mut self) -> io::Result<Stats> {
        // An engine that was told to end before it ran does not begin.
        self.take_commands();
        if self.run == Run::Serving {
            self.attach();
        }
        while self.goes_on() {
            self.turn()?;
        }
        self.end_all();
        Ok(self.desk.stats)
    }

    pub(super) fn goes_on(&self) -> bool {
        match self.run {
            Run::Serving => true,
            Run::Draining => !self.conns.is_empty() || self.owes_datagrams(),
            Run::Stopped => false,
        }
    }

    pub(super) fn turn(&mut self) -> io::Result<()> {
        let all_heard = self.poll()?; // 1 to 4
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { break }; // 5
            match reserved_number(key) {
                None => self.step(key),
                Some(number) => self.step_source(number),
            }
        }
        if all_heard {
            self.fire_timers(); // 6
        }
        if std::mem::take(&mut self.woken) {
            self.take_jobs(); // 7
            self.take_commands();
        }
        self.say_all(); // 8
        self.reap(); // 9
        self.relieve_budget();
        self.desk.stats.turns += 1;
        Ok(())
    }

    /// Waits, reads the clock, and notes what each event says. Whether everybody has been heard who may have met a deadline:
    /// after a pause, ours or the system's, more may be ready than one poll reports, and none of them is late.
    fn poll(&mut self) -> io::Result<bool> {
        let timeout = self.timeout();
        self.unheard = match self.mark_events(timeout) {
            // Each poll reports others, so after this many each has had its say, however busy they are.
            Ok(Polled::Some(events)) if self.unheard <= self.conns.len() / events.max(1) => self.unheard + 1,
            Ok(Polled::All | Polled::Some(_)) => 0,
            // A signal came, or the process was stopped and goes on (epoll_wait(2), EINTR). What is ready has not been said.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 1,
            Err(error) => return Err(error),
        };
        let now = self.net.now();
        self.desk.clock = Clock { now, moment: Timestamp::new(self.start, now) };
        Ok(self.unheard == 0)
    }

    fn mark_events(&mut self, timeout: Option<Duration>) -> io::Result<Polled> {
        let Self { net, conns, sources, ready, woken, .. } = self;
        net.poll(timeout, |event| match reserved_number(event.key) {
            None => {
                let Some(conn) = conns.get_mut(event.key) else { return };
                conn.flags().urgent |= event.urgent;
                if conn.mark_ready(event.readable, event.writable, event.end) {
                    ready.push_back(event.key);
                }
            }
            Some(_) if event.key == WAKE_KEY => *woken = true,
            Some(number) => {
                if let Some(source) = sources.get_mut(number) {
                    source.readable |= event.readable;
                    source.writable |= event.writable;
                    if !std::mem::replace(&mut source.queued, true) {
                        ready.push_back(event.key);
                    }
                }
            }
        })
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.woken || self.owed.waits() {
            return Some(Duration::ZERO);
        }
        let next = [self.deadlines.next_deadline(), self.timers.next_deadline()].into_iter().flatten().min()?;
        // The turn's own reading is as old as the turn is long.
        Some(next.saturating_since(Timestamp::new(self.start, self.net.now())))
    }

    fn fire_timers(&mut self) {
        let now = self.desk.clock.moment;
        while let Some((id, ())) = self.deadlines.take_due(now) {
            let key = usize::try_from(id.number()).unwrap_or(usize::MAX);
            match key {
                close::DRAIN_KEY => self.abandon_all(),
                memory::BUDGET_KEY => self.shed_largest(),
                _ => match reserved_number(key) {
                    Some(number) => self.resume_accepting(number),
                    None => self.check_deadline(key),
                },
            }
        }
        // Not those set meanwhile: a timer that sets the next for this very moment waits a turn like anybody.
        let newest = self.desk.pending_actions.newest_number();
        while let Some((id, TimerOwner { service, conn })) = self.timers.take_due_until(now, newest) {
            self.timers_by_conn.remove(&(conn, id));
            self.call(service, conn, |service, cx| service.on_timer(cx, id));
        }
    }

    fn take_jobs(&mut self) {
        for (owner, output) in self.workers.take_done() {
            if let Some(conn) = self.conns.get_mut(owner.conn.0) {
                conn.job_ended();
            }
            self.call(owner.service, owner.conn, |service, cx| service.on_job(cx, owner.job, output));
        }
    }

    fn take_commands(&mut self) {
        let commands = self.inbox.take_commands();
        // As many as may wait, so that a thread that posts without end cannot keep the loop here.
        for _ in 0..self.desk.limits.max_queued_messages {
            let Some((service, message)) = self.inbox.next_message() else { break };
            self.call(service, ConnId::NONE, |service, cx| service.on_post(cx, message));
        }
        commands.for_each(|command| self.obey(command));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::LogStats => log::info!("{}", self.desk.stats),
            Command::Drain => self.drain(),
            Command::Stop => self.run = Run::Stopped,
        }
    }

    /// Makes one callback that is not about a frame, and does what it asked for.
    pub(super) fn call(
        &mut self,
        service: ServiceId,
        id: ConnId,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>),
    ) {
        let Self { services, conns, desk, .. } = self;
        let Some(Registered { service: called, .. }) = services.get_mut(service.0) else { return };
        let mut cx = match conns.get_mut(id.0).filter(|conn| conn.accepts_output()) {
            Some(conn) => desk.service_context(id, conn.framing(), ReplySource::NONE, conn.pending_bytes()),
            None => {
                Context { conn: id, clock: desk.clock, reply_to: ReplyTo::Nobody, effects: &mut desk.pending_actions }
            }
        };
        callback(called.as_mut(), &mut cx);
        self.apply(service, id);
        self.send_replies(id.0, &[]);
        self.settle(id.0);
    }

    /// Puts a key's owner into the ready queue, once.
    pub(super) fn enqueue(&mut self, key: usize) {
        let newly = match reserved_number(key) {
            None => self.conns.get_mut(key).is_some_and(Connection::mark_scheduled),
            Some(number) => {
                self.sources.get_mut(number).is_some_and(|source| !std::mem::replace(&mut source.queued, true))
            }
        };
        if newly {
            self.ready.push_back(key);
        }
    }

    /// What the log calls a service.
    pub(super) fn name(&self, service: ServiceId) -> &str {
        self.services.get(service.0).map_or("", |registered| &registered.name)
    }

    fn step_source(&mut self, number: usize) {
        let Some(state) = self.sources.get_mut(number) else { return };
        state.queued = false;
        match state.source.kind {
            SourceKind::Listener(framing) => self.accept(number, framing),
            SourceKind::Datagrams { .. } => self.exchange(number),
            SourceKind::Commands(command) => {
                self.net.swallow(number);
                self.obey(command);
            }
        }
    }
}
