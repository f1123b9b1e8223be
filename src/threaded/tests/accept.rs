//! The thread of a listener: failures of accept, limits, and rejected connections.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};

use super::{Rig, ScriptedConn};
use crate::connection::scripted_stream::{FRAMING, ScriptedSocket, received};
use crate::engine::limits::{Limits, MAX_REJECTED_OPEN};
use crate::net::Notifier;
use crate::service::Peer;
use crate::threaded::listen::{AcceptThread, NextAccept};
use crate::threaded::socket::{ConnSocket, Listener};

type Backlog = Arc<Mutex<VecDeque<io::Result<Arc<dyn ConnSocket>>>>>;

/// A listener whose backlog the test fills.
struct ScriptedListener {
    backlog: Backlog,
    fd: Notifier,
}

impl AsFd for ScriptedListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listener for ScriptedListener {
    fn accept(&self) -> io::Result<(Arc<dyn ConnSocket>, Peer)> {
        let next = self.backlog.lock().unwrap().pop_front().unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()));
        next.map(|socket| (socket, Peer::Unix))
    }
}

struct TestListener {
    thread: AcceptThread,
    backlog: Backlog,
}

impl TestListener {
    fn new(rig: &Rig) -> Self {
        let backlog = Backlog::default();
        let listener = ScriptedListener { backlog: Arc::clone(&backlog), fd: Notifier::new().unwrap() };
        let slot = Arc::clone(&rig.shared.services[0]);
        let thread = AcceptThread::new(Arc::clone(&rig.shared), Box::new(listener), FRAMING, slot, 0);
        Self { thread, backlog }
    }

    fn fail(&self, errno: rustix::io::Errno) {
        self.backlog.lock().unwrap().push_back(Err(errno.into()));
    }

    /// Connects a client and accepts it.
    fn connect(&mut self) -> ScriptedSocket {
        let (socket, stream) = ScriptedSocket::pair();
        self.backlog.lock().unwrap().push_back(Ok(ScriptedConn::socket(stream)));
        assert_eq!(self.thread.accept(), NextAccept::Again);
        socket
    }
}

#[test]
fn accepting_pauses_without_descriptors_and_goes_on_after_other_errors() {
    let rig = Rig::new(Limits::default());
    let mut listener = TestListener::new(&rig);
    assert_eq!(listener.thread.accept(), NextAccept::Wait);
    for errno in [rustix::io::Errno::CONNABORTED, rustix::io::Errno::INTR] {
        listener.fail(errno);
        assert_eq!(listener.thread.accept(), NextAccept::Again);
    }
    for errno in
        [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS, rustix::io::Errno::NOMEM]
    {
        listener.fail(errno);
        assert_eq!(listener.thread.accept(), NextAccept::Pause);
    }
    assert_eq!(rig.shared.stats().accept_pauses, 4);
    listener.connect();
    assert_eq!((rig.shared.stats().accepted, rig.system.state().tasks.len()), (1, 1), "it is retried");
}

#[test]
fn a_pending_connection_over_the_limit_is_rejected_with_the_reason() {
    let mut rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let mut listener = TestListener::new(&rig);
    listener.connect();
    let rejected = listener.connect();
    assert_eq!(received(&rejected), ["server is full: 1 connection"]);
    rig.control.run_turn();
    assert!(rejected.is_shut_down() && !rejected.is_closed(), "the peer reads the reason first");
    assert!(rig.log().is_empty(), "its service has not seen it");
    rejected.finish();
    rig.control.run_turn();
    assert!(rejected.is_closed());
    let stats = rig.shared.stats();
    assert_eq!((stats.accepted, stats.refused, stats.open), (1, 1, 1));
}

#[test]
fn a_connection_without_a_thread_frees_its_slot() {
    let rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let mut listener = TestListener::new(&rig);
    rig.system.state().fails = true;
    assert_eq!(received(&listener.connect()), ["server is full: it can start no more threads"]);
    assert_eq!(rig.shared.stats().open, 0);
    rig.system.state().fails = false;
    assert!(received(&listener.connect()).is_empty());
    assert_eq!(rig.shared.stats().open, 1);
}

#[test]
fn pending_connections_are_rejected_above_the_memory_limit() {
    let rig = Rig::new(Limits { max_buffered_bytes: 1_000, ..Limits::default() });
    let mut listener = TestListener::new(&rig);
    let mut holder = rig.connect();
    holder.socket.set_room(0);
    holder.send(["big 2000"]);
    let rejected = listener.connect();
    assert_eq!(received(&rejected).len(), 1);
    holder.socket.reset();
    holder.run();
    let accepted = listener.connect();
    assert!(accepted.written().is_empty());
    assert_eq!(rig.shared.stats().open, 1);
}

#[test]
fn rejected_connections_are_bounded_and_make_room_when_they_close() {
    let mut rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let mut listener = TestListener::new(&rig);
    listener.connect();
    let rejected: Vec<_> = (0..MAX_REJECTED_OPEN).map(|_| listener.connect()).collect();
    assert!(rejected.iter().all(|socket| received(socket).len() == 1));
    let beyond = listener.connect();
    assert!(beyond.is_closed() && beyond.is_shut_down() && !beyond.written().is_empty());
    rig.control.run_turn();
    rejected.iter().for_each(ScriptedSocket::finish);
    rig.control.run_turn();
    assert!(rejected.iter().all(ScriptedSocket::is_closed));
    assert_eq!(received(&listener.connect()).len(), 1);
}

#[test]
fn a_rejected_connection_lingers_for_a_limited_time() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let linger_timeout = limits.linger_timeout;
    let mut rig = Rig::new(limits);
    let mut listener = TestListener::new(&rig);
    listener.connect();
    let rejected = listener.connect();
    rig.control.run_turn();
    rig.advance_time(linger_timeout);
    rig.control.run_turn();
    assert!(rejected.is_closed());
}

/// The thread's task runs to its end on the test's thread, because its peer has sent everything.
#[test]
fn a_started_task_serves_its_connection_and_frees_the_slot() {
    for (new, request) in [(Rig::new as fn(Limits) -> Rig, "hello"), (Rig::with_instances, "hello"), (Rig::new, "bug")]
    {
        let rig = new(Limits::default());
        let mut listener = TestListener::new(&rig);
        let socket = listener.connect();
        socket.send(&crate::connection::scripted_stream::framed([request]));
        socket.finish();
        let task = rig.system.state().tasks.pop().unwrap();
        task();
        assert!(socket.is_closed());
        assert_eq!(rig.shared.stats().open, 0);
        assert!(rig.shared.lifecycle.threads.is_idle());
        assert!(!rig.shared.lifecycle.has_failed());
        if request == "hello" {
            assert_eq!(received(&socket), ["hello"]);
        }
    }
}
