//! The loop that puts a load on a chat server: one poll, one slab of members, and a queue of
//! members to connect. [`phase_changes`](super::phase_changes) decides when the run enters its next
//! phase.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::config::ChatLoadConfig;
use super::member_client::MemberClient;
use super::outcome::ChatOutcome;
use super::run_context::{ChatRunContext, ChatSendPolicy};
use crate::engine::slab::GenerationalSlab;
use crate::load::connect_queue::{BACKLOG_RETRY_DELAY, ConnectQueue, local_limit_error};
use crate::load::end::ConnectionEnd;
use crate::load::error::LoadError;
use crate::load::net::{LoadSocket, Poller, SocketEvent};
use crate::load::observer::LoadObserver;
use crate::load::outcome::LoadOutcome;
use crate::load::phases::{Phases, nanos};

/// Puts the load of `config` on a chat server, and reports its progress to `observer`.
///
/// # Errors
/// [`LoadError`] if the load could not be put on at all. Faults of the server are in the
/// [`LoadOutcome`].
pub fn run(config: &ChatLoadConfig, observer: &mut dyn LoadObserver) -> Result<LoadOutcome<ChatOutcome>, LoadError> {
    config.check()?;
    ChatDriver::new(config)?.run(observer)
}

/// A run of a chat load.
pub(super) struct ChatDriver<'a> {
    pub(super) config: &'a ChatLoadConfig,
    poller: Poller,
    pub(super) context: ChatRunContext,
    pub(super) members: GenerationalSlab<MemberClient>,
    /// Slab keys by member number; `None` for a member that is not connected.
    pub(super) keys: Vec<Option<usize>>,
    /// A member stays pending until it has joined its room, so that the server handles a limited
    /// number of joins at the same time.
    connect_queue: ConnectQueue,
    /// The members that publish, in the order of the send schedule.
    pub(super) publishers: Vec<usize>,
    events: Vec<SocketEvent>,
    /// Everything that had arrived by this time has been handled. Timeouts count from it, so that a
    /// generator without processor time does not charge the server for its own delay.
    pub(super) handled_until_ns: u64,
    pub(super) phases: Phases,
    /// The time since which no delivery is outstanding.
    pub(super) done_since_ns: Option<u64>,
    /// Members that have neither joined nor been refused.
    pub(super) unresolved: usize,
    pub(super) last_connect_error: Option<io::Error>,
    /// Length of the connecting phase.
    pub(super) joining_ns: u64,
}

impl<'a> ChatDriver<'a> {
    fn new(config: &'a ChatLoadConfig) -> Result<Self, LoadError> {
        let mut connect_queue = ConnectQueue::default();
        (0..config.members).for_each(|number| connect_queue.schedule(0, number));
        Ok(Self {
            config,
            poller: Poller::new().map_err(LoadError::System)?,
            context: ChatRunContext::new(config, unique_nick_prefix())?,
            members: GenerationalSlab::new(),
            keys: vec![None; config.members],
            connect_queue,
            publishers: Vec::new(),
            events: Vec::new(),
            handled_until_ns: 0,
            phases: Phases::new(config.warm_up, config.duration),
            done_since_ns: None,
            unresolved: config.members,
            last_connect_error: None,
            joining_ns: 0,
        })
    }

    fn run(mut self, observer: &mut dyn LoadObserver) -> Result<LoadOutcome<ChatOutcome>, LoadError> {
        while self.advance(observer)?.is_continue() {
            while let Some(number) = self.connect_queue.take_due(self.context.traffic.now_ns) {
                self.connect(number)?;
            }
            self.send_due()?;
            let polled_ns = self.poll()?;
            self.handle_events()?;
            self.handled_until_ns = polled_ns;
        }
        Ok(self.outcome())
    }

    fn connect(&mut self, number: usize) -> Result<(), LoadError> {
        let now_ns = self.context.traffic.read_clock();
        let socket = match LoadSocket::connect(&self.config.target) {
            Ok(socket) => socket,
            // The backlog of a Unix-domain socket is full: EAGAIN in unix(7). No event reports that
            // it has room again, so the connect is retried after a delay.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_stuck() => {
                self.connect_queue.schedule(now_ns + nanos(BACKLOG_RETRY_DELAY), number);
                return Ok(());
            }
            Err(error) => return self.handle_refused(error),
        };
        let key = self.members.insert(MemberClient::new(socket, number, now_ns));
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        self.poller.register(member.socket(), key).map_err(LoadError::System)?;
        self.keys.get_mut(number).into_iter().for_each(|kept| *kept = Some(key));
        self.connect_queue.pending += 1;
        Ok(())
    }

    fn handle_refused(&mut self, error: io::Error) -> Result<(), LoadError> {
        if let Some(error) = local_limit_error(&error) {
            return Err(LoadError::Connect(error));
        }
        self.context.traffic.checker.faults.refused += 1;
        self.last_connect_error = Some(error);
        self.unresolved -= 1;
        Ok(())
    }

    /// Returns true if no member has received a new message for the answer timeout.
    pub(super) fn is_stuck(&self) -> bool {
        self.handled_until_ns.saturating_sub(self.context.traffic.last_progress_ns) >= nanos(self.config.reply_timeout)
    }

    /// Sends the messages that are due in the schedule, or next in the rotation of publishers.
    fn send_due(&mut self) -> Result<(), LoadError> {
        let now_ns = self.context.traffic.now_ns;
        if let ChatSendPolicy::Scheduled(schedule) = &mut self.context.traffic.send_policy {
            let (due, publishers) = (schedule.advance(now_ns), schedule.connections);
            for number in due.take(self.publishers.len()) {
                let place = usize::try_from(number % publishers).unwrap_or(0);
                if let Some(publisher) = self.publishers.get(place) {
                    self.publish(*publisher, 0)?;
                }
            }
        }
        while let ChatSendPolicy::RoundRobin(rotation) = &mut self.context.traffic.send_policy
            && let Some(publisher) = rotation.take_next(now_ns)
        {
            self.publish(publisher, 1)?;
        }
        Ok(())
    }

    /// Steps a publisher, after adding `count` messages to those it is to send.
    fn publish(&mut self, publisher: usize, count: usize) -> Result<(), LoadError> {
        let Some(key) = self.keys.get(publisher).copied().flatten() else { return Ok(()) };
        self.members.get_mut(key).into_iter().for_each(|member| member.to_send += count);
        self.step(key)
    }

    fn step(&mut self, key: usize) -> Result<(), LoadError> {
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        let stepped = member.step(&mut self.context);
        stepped.or_else(|end| self.handle_end(key, end))
    }

    /// Waits for events; returns the time at which the wait began.
    fn poll(&mut self) -> Result<u64, LoadError> {
        let before_ns = self.context.traffic.read_clock();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(before_ns));
        let next_ns = self.phases.next_ns(&self.context.traffic.recorder, self.finished_ns());
        let next_ns = self.connect_queue.next_ns().map_or(next_ns, |connect_ns| connect_ns.min(next_ns));
        let next_send = match &self.context.traffic.send_policy {
            ChatSendPolicy::Scheduled(schedule) => schedule.next_due_ns().map(until),
            _ => None,
        };
        self.events.clear();
        self.poller.poll(until(next_ns), next_send, &mut self.events).map_err(LoadError::System)?;
        self.phases.waited_ns += self.context.traffic.read_clock() - before_ns;
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
        let Some(member) = self.members.get_mut(event.key) else { return Ok(()) };
        let had_joined = member.has_joined();
        let handled = member.handle_event(event, &mut self.context);
        if !had_joined && member.has_joined() {
            let (number, joining_ns) = (member.number, member.joining_ns(self.context.traffic.now_ns));
            self.connect_queue.pending -= 1;
            self.unresolved -= 1;
            let traffic = &mut self.context.traffic;
            traffic.last_progress_ns = traffic.now_ns;
            traffic.recorder.record_connect(joining_ns);
            traffic.checker.add_member(number);
        }
        handled.or_else(|end| self.handle_end(event.key, end))
    }

    /// Removes a member whose connection has ended.
    pub(super) fn handle_end(&mut self, key: usize, end: ConnectionEnd) -> Result<(), LoadError> {
        let Some(member) = self.members.remove(key) else { return Ok(()) };
        self.keys.get_mut(member.number).into_iter().for_each(|kept| *kept = None);
        if !member.has_joined() {
            self.connect_queue.pending -= 1;
            let error = if let ConnectionEnd::Refused(error) = end { error } else { io::ErrorKind::InvalidData.into() };
            return self.handle_refused(error);
        }
        let traffic = &mut self.context.traffic;
        traffic.checker.remove_member(member.number);
        if let ChatSendPolicy::RoundRobin(rotation) = &mut traffic.send_policy {
            rotation.remove_member(member.number);
        }
        // Garbled input has already been counted as a fault.
        traffic.checker.faults.broken += u64::from(!matches!(end, ConnectionEnd::Garbled));
        Ok(())
    }
}

/// Returns a nick prefix that is unique among the runs of this machine, so that two runs on one
/// server do not collide.
fn unique_nick_prefix() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    format!("b{:x}.{}-", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}
