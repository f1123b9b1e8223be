//! Connection threads over scripted sockets and a scripted clock. The rig runs each thread's turns
//! on the test's own thread, so a test decides the order in which threads run. No test waits.
//!
//! [`spawn`] is different: it runs the whole engine over TCP, with thread starts that fail. So is
//! `interleavings`, which only a build with `--cfg shuttle` has: it runs the whole engine, and a
//! scheduler decides after which step which thread goes on.

mod accept;
mod close;
mod drain;
mod fairness;
#[cfg(shuttle)]
mod interleavings;
mod jobs;
mod memory;
mod send;
mod slow;
mod spawn;
mod stop;

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::connection_thread::{ConnectionThread, PEER_END, PendingConnection, SocketWait, TurnOutcome};
use super::control_thread::ControlThread;
use super::lifecycle::System;
use super::shared::{EngineParts, EngineShared};
use super::shared_connection::{ConnectionAccess, SharedConnection};
use super::socket::{ConnSocket, poll};
use crate::connection::scripted_stream::{FRAMING, ScriptedSocket, ScriptedStream, framed};
use crate::connection::{PeerEnd, Stream};
use crate::engine::clients::Clients;
use crate::engine::handle::Handle;
use crate::engine::limits::Limits;
use crate::engine::setup::EngineSetup;
use crate::engine::threads::ThreadTask;
use crate::net::Notifier;
use crate::service::scripted_service::ScriptedService;
use crate::service::{Peer, ServiceId, ServiceOptions};

/// The number of turns after which a thread that still has work counts as spinning.
const MAX_TURNS: usize = 10_000;

/// An engine whose threads run when the test says so.
struct Rig {
    shared: Arc<EngineShared>,
    system: ScriptedSystem,
    service: ScriptedService,
    control: ControlThread,
    handle: Handle,
}

/// A connection's thread, and the peer's end of its socket.
struct TestThread {
    socket: ScriptedSocket,
    system: ScriptedSystem,
    thread: Box<ConnectionThread>,
    /// The connection and what the thread does next; `None` once it has ended.
    state: Option<(ConnectionAccess, TurnOutcome)>,
}

/// The clock that a test advances, and the threads that the engine has started.
#[derive(Clone)]
struct ScriptedSystem(Arc<Mutex<SystemState>>);

struct SystemState {
    now: Instant,
    fails: bool,
    tasks: Vec<ThreadTask>,
}

/// The connection's end of a scripted socket.
struct ScriptedConn {
    stream: Mutex<ScriptedStream>,
    /// For poll(2), which only threads that run on their own call. It always reports readiness.
    fd: Notifier,
}

impl Rig {
    /// Returns an engine with one service that connections share.
    fn new(limits: Limits) -> Self {
        Self::with_options(limits, "service".into(), ScriptedService::default())
    }

    /// Returns an engine with a service that has an instance per connection.
    fn with_instances(limits: Limits) -> Self {
        let service = ScriptedService::default();
        let instance = service.clone();
        Self::with_options(limits, ServiceOptions::new("service").per_connection(move || instance.clone()), service)
    }

    fn with_options(limits: Limits, options: ServiceOptions, service: ScriptedService) -> Self {
        let control = Arc::new(Notifier::new().unwrap());
        let notifier = Arc::clone(&control);
        let mut setup = EngineSetup::new(Limits::default(), Arc::new(move || notifier.notify())).unwrap();
        setup.limits.panic = limits.panic;
        setup.add_service(options, service.clone());
        setup.services.iter_mut().for_each(|registered| registered.is_reachable = true);
        let system =
            ScriptedSystem(Arc::new(Mutex::new(SystemState { now: Instant::now(), fails: false, tasks: Vec::new() })));
        let EngineSetup { services, handle, inbox, .. } = setup;
        // The tests use limits that are too small for a server.
        let parts = EngineParts {
            clients: Clients::new(&limits, usize::MAX, Vec::new()),
            limits,
            services,
            udp_bindings: Vec::new(),
            listeners: 1,
            control,
            system: Box::new(system.clone()),
        };
        let shared = Arc::new(EngineShared::new(parts).unwrap());
        let control = ControlThread::new(Arc::clone(&shared), inbox, Vec::new());
        Self { shared, system, service, control, handle }
    }

    /// Connects a client and runs its thread until it waits.
    fn connect(&self) -> TestThread {
        self.shared.slots.acquire(&Peer::Unix, ServiceId(0)).expect("the engine is full");
        let (socket, stream) = ScriptedSocket::pair();
        let pending = PendingConnection {
            socket: ScriptedConn::socket(stream),
            peer: Peer::Unix,
            framing: FRAMING,
            notifier: None,
            has_read_timeout: false,
            opening: None,
        };
        let slot = Arc::clone(&self.shared.services[0]);
        let start = pending.register(&self.shared, &slot, self.shared.clock().timestamp).unwrap();
        let (mut thread, mut access) = start.into_thread();
        access.with(|conn| thread.open(conn));
        let outcome = access.with(|conn| thread.run_turn(conn));
        let mut client = TestThread { socket, system: self.system.clone(), thread, state: Some((access, outcome)) };
        client.run();
        client
    }

    /// Returns two connected clients.
    fn connect_two(&self) -> (TestThread, TestThread) {
        let clients = (self.connect(), self.connect());
        self.log();
        clients
    }

    fn advance_time(&self, time: Duration) {
        self.system.state().now += time;
    }

    /// Returns the lines that the service has logged since the last call.
    fn log(&self) -> Vec<String> {
        self.service.take_log()
    }
}

impl TestThread {
    /// The peer sends `payloads`; the thread runs until it waits.
    fn send<P: AsRef<[u8]>>(&mut self, payloads: impl IntoIterator<Item = P>) {
        self.socket.send(&framed(payloads));
        self.run();
    }

    /// Runs the thread until it waits for something that has not happened, or ends.
    fn run(&mut self) {
        for _ in 0..MAX_TURNS {
            if !self.step() {
                return;
            }
        }
        panic!("the thread spins");
    }

    /// Does what the thread does next. Returns false if it waits on or has ended.
    fn step(&mut self) -> bool {
        let Some((mut access, outcome)) = self.state.take() else { return false };
        let thread = &mut self.thread;
        match outcome {
            TurnOutcome::Finish => {
                access.with(|conn| thread.finish(conn));
                drop(access);
                let worker = &thread.worker;
                let conn = (thread.own.id, Peer::Unix, ServiceId(0));
                worker.shared.release(conn, &worker.thread_stats, thread.release_announced);
                return false;
            }
            TurnOutcome::RunJob => {
                if let Some(wait) = thread.run_job(&mut access) {
                    self.wait(&wait);
                }
            }
            TurnOutcome::Wait(wait) => {
                if !thread.own.has_pending() && !self.wait(&wait) {
                    self.state = Some((access, TurnOutcome::Wait(wait)));
                    return false;
                }
            }
            TurnOutcome::RunAgain => {}
        }
        let outcome = access.with(|conn| self.thread.run_turn(conn));
        self.state = Some((access, outcome));
        true
    }

    /// Ends the wait if one of its events has occurred or its time has passed.
    fn wait(&mut self, wait: &SocketWait) -> bool {
        let thread = &mut self.thread;
        let Some(time) = thread.begin_wait(wait) else { return true };
        let (ready, end) = self.socket.readiness();
        let mut socket = PollFlags::empty();
        socket.set(PollFlags::IN, ready.readable);
        socket.set(PollFlags::OUT, ready.writable);
        socket.set(PEER_END, end == PeerEnd::Reported);
        socket &= wait.events;
        let inbox = thread.own.notifier().is_some_and(is_signaled);
        let relief = thread.relief.as_ref().is_some_and(|relief| is_signaled(relief));
        let shared = &thread.worker.shared;
        let change = is_signaled(shared.lifecycle.change_notifier(thread.seen_state));
        let waited = self.system.state().now.duration_since(thread.worker.context.clock.now);
        let is_due = time.timeout.is_some_and(|timeout| waited >= timeout);
        if socket.is_empty() && !inbox && !relief && !change && !is_due {
            return false;
        }
        thread.end_wait(&time, socket, inbox, relief);
        true
    }

    fn shared_conn(&self) -> Arc<SharedConnection> {
        Arc::clone(self.thread.own.shared_conn.as_ref().unwrap())
    }

    /// Returns true if another thread has woken this one.
    fn is_woken(&self) -> bool {
        is_signaled(&self.shared_conn().notifier)
    }

    fn has_ended(&self) -> bool {
        self.state.is_none()
    }
}

fn is_signaled(notifier: &Notifier) -> bool {
    let mut poll_fds = [PollFd::new(notifier, PollFlags::IN)];
    poll(&mut poll_fds, Some(Duration::ZERO));
    !poll_fds[0].revents().is_empty()
}

impl ScriptedSystem {
    fn state(&self) -> MutexGuard<'_, SystemState> {
        self.0.lock().unwrap()
    }
}

impl System for ScriptedSystem {
    fn spawn(&self, _name: String, task: ThreadTask) -> io::Result<()> {
        let mut state = self.state();
        if state.fails {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.tasks.push(task);
        Ok(())
    }

    fn now(&self) -> Instant {
        self.state().now
    }
}

impl ScriptedConn {
    fn socket(stream: ScriptedStream) -> Arc<dyn ConnSocket> {
        let fd = Notifier::new().unwrap();
        fd.notify();
        Arc::new(Self { stream: Mutex::new(stream), fd })
    }
}

impl AsFd for ScriptedConn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ConnSocket for ScriptedConn {
    /// A read that waits finds what has arrived, or nothing as after its timeout.
    fn receive(&self, buffer: &mut [u8], _blocks: bool) -> io::Result<usize> {
        self.stream.lock().unwrap().read(buffer)
    }

    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>], _blocks: bool) -> io::Result<usize> {
        self.stream.lock().unwrap().read_vectored(buffers)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.lock().unwrap().write(bytes)
    }

    fn send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.lock().unwrap().write_vectored(slices)
    }

    fn set_read_timeout(&self) -> io::Result<()> {
        Ok(())
    }

    fn shut_down(&self) {
        let _ = self.shut_down_write();
    }

    /// The kernel then reports the end of the stream, after the bytes that have arrived.
    fn shut_down_read(&self) {
        self.stream.lock().unwrap().socket().finish();
    }

    fn shut_down_write(&self) -> io::Result<()> {
        self.stream.lock().unwrap().shutdown_write()
    }

    fn received_by_peer(&self) -> Option<u64> {
        self.stream.lock().unwrap().received_by_peer()
    }

    fn unread_bytes(&self) -> usize {
        self.stream.lock().unwrap().unread_bytes()
    }

    fn abort_on_close(&self) {
        self.stream.lock().unwrap().abort_on_close();
    }
}
