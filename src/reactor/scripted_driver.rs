//! The scripted driver: listeners, scripted sockets, a UDP socket, and a clock that a test
//! advances.

use std::cell::{RefCell, RefMut};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::scripted_source::ScriptedSource;
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket, ScriptedStream};
use crate::connection::{PeerEnd, Readiness};
use crate::engine::slab::reserved_key;
use crate::frame::Framing;
use crate::net::udp_batch::{BATCH, ReceiveBatch, SendBatch};
use crate::reactor::driver::{AttachedConsole, Driver, IoEvent, PollCoverage, Source, SourceKind, WAKE_KEY};
use crate::service::{Peer, ServiceId};

/// The test's access to the script of a driver.
#[derive(Clone)]
pub(super) struct DriverScript(Rc<RefCell<DriverState>>);

struct DriverState {
    started: Instant,
    clock: Arc<Mutex<Instant>>,
    cost_of_looking: Duration,
    sources: Vec<ScriptedSource>,
    sockets: Vec<(usize, ScriptedSocket)>,
    attached: Vec<AttachedConsole<ScriptedStream>>,
    /// Events that the next poll reports although no edge has occurred.
    events: Vec<IoEvent>,
    /// The error that the next poll returns.
    poll_error: Option<io::ErrorKind>,
    woken: Arc<AtomicBool>,
    /// The next registration fails.
    fail_register: bool,
    last_poll: Polled,
    /// The number of polls that report none of the ready events, as if other events filled them.
    full_polls: usize,
    /// The most sockets that one poll reports.
    max_events: usize,
    stream_ids: u16,
}

/// The timeout of a poll and the number of events that it reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Polled {
    pub(super) timeout: Option<Duration>,
    pub(super) events: usize,
}

impl DriverScript {
    pub(super) fn new(sources: &[Source], woken: Arc<AtomicBool>) -> Self {
        let started = Instant::now();
        Self(Rc::new(RefCell::new(DriverState {
            started,
            clock: Arc::new(Mutex::new(started)),
            cost_of_looking: Duration::ZERO,
            sources: sources.iter().map(ScriptedSource::new).collect(),
            sockets: Vec::new(),
            attached: Vec::new(),
            events: Vec::new(),
            poll_error: None,
            woken,
            fail_register: false,
            last_poll: Polled::default(),
            full_polls: 0,
            max_events: usize::MAX,
            stream_ids: 0,
        })))
    }

    fn state(&self) -> RefMut<'_, DriverState> {
        self.0.borrow_mut()
    }

    pub(super) fn driver(&self) -> ScriptedDriver {
        ScriptedDriver(self.clone())
    }

    pub(super) fn advance(&self, by: Duration) {
        *self.clock().lock().unwrap() += by;
    }

    /// Lets each reading of the clock take this time.
    pub(super) fn set_cost_of_looking(&self, cost: Duration) {
        self.state().cost_of_looking = cost;
    }
    /// Returns the clock, which any thread may advance.
    pub(super) fn clock(&self) -> Arc<Mutex<Instant>> {
        Arc::clone(&self.state().clock)
    }

    pub(super) fn now(&self) -> Instant {
        *self.clock().lock().unwrap()
    }

    /// Connects a client to listener number `number`.
    pub(super) fn connect(&self, number: usize) -> ScriptedSocket {
        let mut state = self.state();
        state.stream_ids += 1;
        let port = state.stream_ids;
        drop(state);
        self.connect_from(number, ([127, 0, 0, 1], port).into())
    }

    /// Connects a client with the address `addr` to listener number `number`.
    pub(super) fn connect_from(&self, number: usize, addr: SocketAddr) -> ScriptedSocket {
        let (socket, stream) = ScriptedSocket::pair();
        let mut state = self.state();
        state.sources[number].backlog.push_back((stream, Peer::Tcp(addr)));
        state.sources[number].edge = true;
        socket
    }

    /// Attaches a console, which opens when the loop begins.
    pub(super) fn attach(&self, service: ServiceId, framing: Framing) -> ScriptedSocket {
        let (socket, stream) = ScriptedSocket::pair();
        self.state().attached.push(AttachedConsole { stream, service, framing });
        socket
    }

    pub(super) fn fail_accepts(&self, number: usize, errors: impl IntoIterator<Item = io::Error>) {
        self.state().sources[number].accept_errors.extend(errors);
    }

    /// Lets a datagram arrive at UDP socket number `number`.
    pub(super) fn datagram(&self, number: usize, from: SocketAddr, payload: &[u8]) {
        let mut state = self.state();
        state.sources[number].arrived.push_back((from, payload.to_vec()));
        state.sources[number].edge = true;
    }

    pub(super) fn fail_receives(&self, number: usize, errors: impl IntoIterator<Item = io::Error>) {
        self.state().sources[number].receive_errors.extend(errors);
    }

    pub(super) fn script_sends(&self, number: usize, calls: impl IntoIterator<Item = ScriptedCall>) {
        self.state().sources[number].sends.extend(calls);
    }

    /// Forgets the scripted sends: from now on the socket takes every datagram.
    pub(super) fn clear_sends(&self, number: usize) {
        self.state().sources[number].sends.clear();
    }

    /// Returns the datagrams sent from the datagram at position `start` on.
    pub(super) fn sent_from(&self, number: usize, start: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        self.state().sources[number].sent[start..].to_vec()
    }

    pub(super) fn sent(&self, number: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        self.state().sources[number].sent.clone()
    }

    pub(super) fn waiting_datagrams(&self, number: usize) -> usize {
        self.state().sources[number].arrived.len()
    }

    pub(super) fn backlog(&self, number: usize) -> usize {
        self.state().sources[number].backlog.len()
    }

    pub(super) fn is_open(&self, number: usize) -> bool {
        self.state().sources[number].open
    }

    /// Returns true if a poll has yet to report an edge of source number `number`.
    pub(super) fn has_edge(&self, number: usize) -> bool {
        self.state().sources[number].edge
    }

    /// Returns true if the next polls have something to report.
    pub(super) fn owes_events(&self) -> bool {
        let state = self.state();
        state.full_polls > 0
            || !state.events.is_empty()
            || state.sources.iter().any(|source| source.open && source.edge)
            || state.sockets.iter().any(|(_, socket)| !socket.is_closed() && socket.has_edge())
    }

    /// Returns the registered sockets, with their keys.
    pub(super) fn sockets(&self) -> Vec<(usize, ScriptedSocket)> {
        self.state().sockets.clone()
    }

    /// Makes the next poll report this readiness.
    pub(super) fn report(&self, key: usize, readable: bool, writable: bool, eof: bool) {
        let end = if eof { PeerEnd::Reported } else { PeerEnd::Open };
        self.state().events.push(IoEvent { key, readiness: Readiness { readable, writable }, end });
    }

    /// Makes the next poll report urgent data.
    pub(super) fn report_urgent(&self, key: usize) {
        self.state().events.push(IoEvent { key, readiness: Readiness::READABLE, end: PeerEnd::Urgent });
    }

    /// Makes the next `count` polls partial, full of other events.
    pub(super) fn fill_polls(&self, count: usize) {
        self.state().full_polls = count;
    }

    /// Lets a poll report at most `sockets` sockets. The others come first in the next poll.
    pub(super) fn limit_events(&self, sockets: usize) {
        self.state().max_events = sockets;
    }

    pub(super) fn fail_poll(&self, kind: io::ErrorKind) {
        self.state().poll_error = Some(kind);
    }

    pub(super) fn fail_next_register(&self) {
        self.state().fail_register = true;
    }

    pub(super) fn last_poll(&self) -> Polled {
        self.state().last_poll
    }

    /// Returns the key under which a socket was registered last.
    pub(super) fn key_of(&self, socket: &ScriptedSocket) -> Option<usize> {
        let state = self.state();
        state.sockets.iter().rev().find(|(_, known)| known.is_same(socket)).map(|(key, _)| *key)
    }
}

pub(super) struct ScriptedDriver(DriverScript);

impl Driver for ScriptedDriver {
    type Stream = ScriptedStream;

    fn sources(&self) -> Vec<Source> {
        self.0.state().sources.iter().map(|script| script.source).collect()
    }

    fn take_consoles(&mut self) -> Vec<AttachedConsole<ScriptedStream>> {
        std::mem::take(&mut self.0.state().attached)
    }

    fn poll(&mut self, timeout: Option<Duration>, mut mark: impl FnMut(IoEvent)) -> io::Result<PollCoverage> {
        let mut state = self.0.state();
        state.last_poll = Polled { timeout, events: 0 };
        if let Some(kind) = state.poll_error.take() {
            return Err(kind.into());
        }
        if state.full_polls > 0 {
            state.full_polls -= 1;
            return Ok(PollCoverage::Partial(1024));
        }
        let mut events = std::mem::take(&mut state.events);
        if state.woken.swap(false, Ordering::AcqRel) {
            events.push(IoEvent { key: WAKE_KEY, readiness: Readiness::READABLE, end: PeerEnd::Open });
        }
        for (number, source) in state.sources.iter_mut().enumerate() {
            if std::mem::take(&mut source.edge) && source.open {
                let writable = matches!(source.source.kind, SourceKind::Udp { .. });
                let readiness = Readiness { readable: true, writable };
                events.push(IoEvent { key: reserved_key(number), readiness, end: PeerEnd::Open });
            }
        }
        state.sockets.retain(|(_, socket)| !socket.is_closed());
        let (mut visited, mut left) = (0, state.max_events);
        for (key, socket) in &state.sockets {
            if left == 0 {
                break;
            }
            visited += 1;
            if let Some((readiness, end)) = socket.take_edge() {
                left -= 1;
                events.push(IoEvent { key: *key, readiness, end });
            }
        }
        let coverage = if left > 0 { PollCoverage::Complete } else { PollCoverage::Partial(state.max_events) };
        state.sockets.rotate_left(visited);
        state.last_poll.events = events.len();
        drop(state);
        events.into_iter().for_each(&mut mark);
        Ok(coverage)
    }

    fn accept(&mut self, listener: usize) -> io::Result<(ScriptedStream, Peer)> {
        let mut state = self.0.state();
        let source = &mut state.sources[listener];
        if let Some(error) = source.accept_errors.pop_front() {
            return Err(error);
        }
        source.backlog.pop_front().filter(|_| source.open).ok_or(io::ErrorKind::WouldBlock.into())
    }

    fn register(&mut self, stream: &mut ScriptedStream, key: usize) -> io::Result<()> {
        let mut state = self.0.state();
        if std::mem::take(&mut state.fail_register) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        state.sockets.push((key, stream.socket()));
        Ok(())
    }

    fn clear_wakeup(&mut self, _pipe: usize) {}

    fn close_source(&mut self, source: usize) {
        self.0.state().sources[source].open = false;
    }

    fn receive_datagrams(&mut self, socket: usize, into: &mut ReceiveBatch) -> io::Result<usize> {
        let mut state = self.0.state();
        let source = &mut state.sources[socket];
        if let Some(error) = source.receive_errors.pop_front() {
            return Err(error);
        }
        let count = source.arrived.len().min(into.limit);
        let ReceiveBatch { storage, heads, .. } = into;
        heads.clear();
        for (buffer, (from, payload)) in ReceiveBatch::buffers(storage).zip(source.arrived.drain(..count)) {
            buffer[..payload.len()].copy_from_slice(&payload);
            heads.push((from, payload.len()));
        }
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    fn send_datagrams(&mut self, socket: usize, from: &SendBatch, first: usize) -> io::Result<usize> {
        let mut state = self.0.state();
        let source = &mut state.sources[socket];
        assert!(source.open, "a datagram was sent through a closed socket");
        let most = match source.sends.pop_front().unwrap_or(ScriptedCall::Whole) {
            ScriptedCall::Whole => BATCH,
            ScriptedCall::AtMost(count) => count,
            ScriptedCall::WouldBlock => return Err(io::ErrorKind::WouldBlock.into()),
            ScriptedCall::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            ScriptedCall::Fails(kind) => return Err(kind.into()),
        };
        let before = source.sent.len();
        source.sent.extend(from.iter_from(first).take(most).map(|(to, payload)| (to, payload.to_vec())));
        Ok(source.sent.len() - before)
    }

    fn now(&self) -> Instant {
        let state = self.0.state();
        let mut now = state.clock.lock().unwrap();
        *now += state.cost_of_looking;
        *now
    }

    fn coarse_time(&self) -> Duration {
        let state = self.0.state();
        state.clock.lock().unwrap().saturating_duration_since(state.started)
    }
}
