//! The loop that puts a load on a chat: one poll, one slab of members, and who is still to come in. When a run goes from one stage to
//! the next is in [`stages`](super::phase_changes).

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::config::ChatLoadConfig;
use super::member_client::MemberClient;
use super::outcome::ChatOutcome;
use super::run_context::{ChatRunContext, ChatSendPolicy};
use crate::engine::slab::GenerationalSlab;
use crate::load::connect_queue::{BACKLOG_AGAIN_AFTER, ConnectQueue, exhausted};
use crate::load::end::ConnectionEnd;
use crate::load::error::LoadError;
use crate::load::net::{LoadSocket, Poller, SocketEvent};
use crate::load::observer::LoadObserver;
use crate::load::phases::{Phases, nanos};

/// Puts the load of `config` on a chat server, and reports its progress to `observer`.
///
/// # Errors
/// [`LoadError`] if the load could not be put on at all. Faults of the server are in the
/// [`ChatOutcome`].
pub fn run(config: &ChatLoadConfig, observer: &mut dyn LoadObserver) -> Result<ChatOutcome, LoadError> {
    config.check()?;
    ChatDriver::new(config)?.run(observer)
}

/// A run.
pub(super) struct ChatDriver<'a> {
    pub(super) config: &'a ChatLoadConfig,
    net: Poller,
    pub(super) context: ChatRunContext,
    pub(super) members: GenerationalSlab<MemberClient>,
    /// By number, those who are there.
    pub(super) keys: Vec<Option<usize>>,
    /// A member is pending until it is in its room, so that the server has so many to let in at once and no more.
    pub(super) connect_queue: ConnectQueue,
    /// Open loop: the members that publish, in the timetable's order.
    pub(super) publishers: Vec<usize>,
    ready: Vec<SocketEvent>,
    /// All that had come by then has been seen. A generator that got no processor for a while must not call that a server's delay.
    pub(super) seen_ns: u64,
    pub(super) phases: Phases,
    /// Since when nothing more is to come.
    pub(super) settled_ns: Option<u64>,
    /// Members of whom it is not decided whether they get in.
    pub(super) undecided: usize,
    pub(super) last_refusal: Option<io::Error>,
    pub(super) joining_ns: u64,
}

impl<'a> ChatDriver<'a> {
    pub(super) fn new(config: &'a ChatLoadConfig) -> Result<Self, LoadError> {
        let mut connect_queue = ConnectQueue::default();
        (0..config.members).for_each(|number| connect_queue.config(0, number));
        Ok(Self {
            config,
            net: Poller::new().map_err(LoadError::System)?,
            context: ChatRunContext::new(config, nick())?,
            members: GenerationalSlab::new(),
            keys: vec![None; config.members],
            connect_queue,
            publishers: Vec::new(),
            ready: Vec::new(),
            seen_ns: 0,
            phases: Phases::new(config.warm_up, config.duration),
            settled_ns: None,
            undecided: config.members,
            last_refusal: None,
            joining_ns: 0,
        })
    }

    pub(super) fn run(mut self, observer: &mut dyn LoadObserver) -> Result<ChatOutcome, LoadError> {
        while self.advance(observer)?.is_continue() {
            while let Some(number) = self.connect_queue.take_due(self.context.traffic.now_ns) {
                self.open(number)?;
            }
            self.say_due()?;
            let polled_ns = self.poll()?;
            self.handle_events()?;
            self.seen_ns = polled_ns;
        }
        Ok(self.outcome())
    }

    fn open(&mut self, number: usize) -> Result<(), LoadError> {
        let now_ns = self.context.traffic.read_clock();
        let socket = match LoadSocket::connect(&self.config.target) {
            Ok(socket) => socket,
            // A Unix-domain socket's backlog is full: unix(7). It has room again when the server accepts, and no event tells.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_stuck() => {
                self.connect_queue.config(now_ns + nanos(BACKLOG_AGAIN_AFTER), number);
                return Ok(());
            }
            Err(error) => return self.refused(error),
        };
        let key = self.members.insert(MemberClient::new(socket, number, now_ns));
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        self.net.register(member.socket(), key).map_err(LoadError::System)?;
        self.keys.get_mut(number).into_iter().for_each(|kept| *kept = Some(key));
        self.connect_queue.pending += 1;
        Ok(())
    }

    fn refused(&mut self, error: io::Error) -> Result<(), LoadError> {
        if let Some(error) = exhausted(&error) {
            return Err(LoadError::Connect(error));
        }
        self.context.traffic.checker.faults.refused += 1;
        self.last_refusal = Some(error);
        self.undecided -= 1;
        Ok(())
    }

    /// Whether nothing has moved for so long that nothing more is to be expected.
    pub(super) fn is_stuck(&self) -> bool {
        self.seen_ns.saturating_sub(self.context.traffic.moved_ns) >= nanos(self.config.answer_timeout)
    }

    /// Says what has become due, by the timetable or by turn.
    fn say_due(&mut self) -> Result<(), LoadError> {
        let now_ns = self.context.traffic.now_ns;
        if let ChatSendPolicy::Timetable(pace) = &mut self.context.traffic.policy {
            let (due, publishers) = (pace.advance(now_ns), pace.connections);
            for number in due.take(self.publishers.len()) {
                let place = usize::try_from(number % publishers).unwrap_or(0);
                if let Some(publisher) = self.publishers.get(place) {
                    self.prompt(*publisher, 0)?;
                }
            }
        }
        while let ChatSendPolicy::PublisherRotation(rotation) = &mut self.context.traffic.policy
            && let Some(publisher) = rotation.take(now_ns)
        {
            self.prompt(publisher, 1)?;
        }
        Ok(())
    }

    /// Has a publisher say what it is to say, and so many messages more.
    fn prompt(&mut self, publisher: usize, more: usize) -> Result<(), LoadError> {
        let Some(key) = self.keys.get(publisher).copied().flatten() else { return Ok(()) };
        self.members.get_mut(key).into_iter().for_each(|member| member.owed += more);
        self.step(key)
    }

    pub(super) fn step(&mut self, key: usize) -> Result<(), LoadError> {
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        let stepped = member.step(&mut self.context);
        stepped.or_else(|end| self.end(key, end))
    }

    /// Waits for what comes next; returns since when.
    fn poll(&mut self) -> Result<u64, LoadError> {
        let before_ns = self.context.traffic.read_clock();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(before_ns));
        let next_ns = self.phases.next_ns(&self.context.traffic.recorder, self.finished_ns());
        let next_ns = self.connect_queue.next_ns().map_or(next_ns, |dial_ns| dial_ns.min(next_ns));
        let precise = if let ChatSendPolicy::Timetable(pace) = &self.context.traffic.policy {
            pace.next_ns().map(until)
        } else {
            None
        };
        self.ready.clear();
        self.net.poll(until(next_ns), precise, &mut self.ready).map_err(LoadError::System)?;
        self.phases.waited_ns += self.context.traffic.read_clock() - before_ns;
        Ok(before_ns)
    }

    fn handle_events(&mut self) -> Result<(), LoadError> {
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            self.handle_event(*event)?;
            // A thousand events take milliseconds; what becomes due meanwhile is not to wait for the last of them.
            self.say_due()?;
        }
        self.ready = ready;
        Ok(())
    }

    fn handle_event(&mut self, event: SocketEvent) -> Result<(), LoadError> {
        // One that ended earlier in this very turn has no more events.
        let Some(member) = self.members.get_mut(event.key) else { return Ok(()) };
        let was_ready = member.is_ready();
        let handled = member.handle_ready(event, &mut self.context);
        if !was_ready && member.is_ready() {
            let (number, joining_ns) = (member.number, member.joining_ns(self.context.traffic.now_ns));
            self.connect_queue.pending -= 1;
            self.undecided -= 1;
            let traffic = &mut self.context.traffic;
            traffic.moved_ns = traffic.now_ns;
            traffic.recorder.connected(joining_ns);
            traffic.checker.sit(number);
        }
        handled.or_else(|end| self.end(event.key, end))
    }

    /// A member is no more.
    pub(super) fn end(&mut self, key: usize, end: ConnectionEnd) -> Result<(), LoadError> {
        let Some(member) = self.members.remove(key) else { return Ok(()) };
        self.keys.get_mut(member.number).into_iter().for_each(|kept| *kept = None);
        if !member.is_ready() {
            self.connect_queue.pending -= 1;
            let error = if let ConnectionEnd::Refused(error) = end { error } else { io::ErrorKind::InvalidData.into() };
            return self.refused(error);
        }
        let traffic = &mut self.context.traffic;
        traffic.checker.rise(member.number);
        if let ChatSendPolicy::PublisherRotation(rotation) = &mut traffic.policy {
            rotation.leave(member.number);
        }
        // What came garbled is at fault already.
        traffic.checker.faults.broken += u64::from(!matches!(end, ConnectionEnd::Garbled));
        Ok(())
    }
}

/// What the members of this run are called, each with its number behind it: no two runs at one server may meet.
fn nick() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    format!("b{:x}.{}-", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}
