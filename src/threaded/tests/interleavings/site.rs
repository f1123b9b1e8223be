//! The engine under the scheduler, and its clients. Their sockets are real, and nobody blocks in
//! one.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use shuttle::thread::{self, JoinHandle};

use crate::connection::scripted_stream::{FRAMING, decode_frames, framed};
use crate::engine::error::Error;
use crate::engine::handle::{Handle, PostError};
use crate::engine::limits::Limits;
use crate::engine::stats::Stats;
use crate::engine::threads::ThreadTask;
use crate::net::shuttled::{note_read, wait_until, wake_all};
use crate::net::{Notifier, SocketStream};
use crate::service::scripted_service::ScriptedService;
use crate::service::{Peer, ServiceId, ServiceOptions};
use crate::threaded::Threaded;
use crate::threaded::lifecycle::System;
use crate::threaded::socket::{ConnSocket, Listener};

/// The only service.
pub(super) const SERVICE: ServiceId = ServiceId(0);

/// An engine that runs on its own thread, with one service.
pub(super) struct Site {
    pub(super) handle: Handle,
    pub(super) service: ScriptedService,
    clients: Arc<Clients>,
    engine: JoinHandle<Result<Stats, Error>>,
}

/// Clients that have connected and are not accepted yet.
struct Clients {
    waiting: Mutex<VecDeque<SocketStream>>,
    arrived: Notifier,
}

struct ScriptedListener(Arc<Clients>);

/// Threads of the scheduler, and a clock that stands still.
struct ShuttleSystem(Instant);

/// A client.
pub(super) struct Client {
    socket: UnixStream,
    received: Vec<u8>,
    has_ended: bool,
}

impl Site {
    pub(super) fn open(limits: Limits, options: impl Into<ServiceOptions>) -> Self {
        let service = ScriptedService::default();
        let clients = Arc::new(Clients { waiting: Mutex::default(), arrived: Notifier::new().unwrap() });
        let mut engine = Threaded::with_system(limits, Box::new(ShuttleSystem(Instant::now()))).unwrap();
        let id = engine.add_service(options, service.clone());
        engine.listeners.push((Box::new(ScriptedListener(Arc::clone(&clients))), FRAMING, id));
        let handle = engine.handle();
        let engine = thread::spawn(move || {
            let result = engine.run();
            wake_all();
            result
        });
        Self { handle, service, clients, engine }
    }

    pub(super) fn connect(&self) -> Client {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        self.clients.waiting.lock().unwrap().push_back(SocketStream::from(near));
        self.clients.arrived.notify();
        Client { socket: far, received: Vec::new(), has_ended: false }
    }

    /// Returns two clients, in the order of their numbers.
    pub(super) fn connect_two(&self) -> [Client; 2] {
        let one = self.connect();
        wait_until(|| self.service.script().members.len() == 1);
        let other = self.connect();
        wait_until(|| self.service.script().members.len() == 2);
        [one, other]
    }

    /// Starts a thread with a handle.
    pub(super) fn spawn(&self, work: impl FnOnce(Handle) + Send + 'static) -> JoinHandle<()> {
        let handle = self.handle.clone();
        thread::spawn(move || work(handle))
    }

    /// Waits for the engine's end, and checks what holds after each.
    pub(super) fn finish(self) -> (Stats, Vec<String>) {
        let stats = self.engine.join().unwrap().unwrap();
        let log = self.service.take_log();
        for number in 0..self.service.script().members.len() {
            let count = |what: &str| log.iter().filter(|line| line.starts_with(&format!("{what} {number}"))).count();
            assert_eq!((count("open"), count("close")), (1, 1), "{log:?}");
        }
        assert_eq!((stats.open, stats.buffered_bytes, stats.jobs_running), (0, 0, 0));
        assert!(matches!(self.handle.post(SERVICE, Box::new("late".to_owned())), Err(PostError::Ended(_))));
        (stats, log)
    }
}

impl Client {
    pub(super) fn send(&mut self, words: &str) {
        // The engine may have closed the socket.
        let _ = self.socket.write_all(&framed([words]));
        wake_all();
    }

    /// Ends the client's side.
    pub(super) fn end(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
        wake_all();
    }

    /// Reads what has arrived. Returns all that was received since the start.
    pub(super) fn read(&mut self) -> Vec<String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.has_ended = true,
                Ok(bytes) => {
                    self.received.extend_from_slice(&buffer[..bytes]);
                    note_read();
                    continue;
                }
                Err(error) => self.has_ended |= error.kind() != io::ErrorKind::WouldBlock,
            }
            return decode_frames(&self.received).0;
        }
    }

    /// Waits for this many messages, or the end of the connection.
    pub(super) fn wait_for(&mut self, messages: usize) -> Vec<String> {
        wait_until(|| self.read().len() >= messages || self.has_ended);
        self.read()
    }

    pub(super) fn wait_for_end(&mut self) -> Vec<String> {
        wait_until(|| {
            self.read();
            self.has_ended
        });
        self.read()
    }
}

impl AsFd for ScriptedListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.arrived.as_fd()
    }
}

impl Listener for ScriptedListener {
    fn accept(&self) -> io::Result<(Arc<dyn ConnSocket>, Peer)> {
        self.0.arrived.clear();
        let next = self.0.waiting.lock().unwrap().pop_front();
        next.map(|socket| (Arc::new(socket) as Arc<dyn ConnSocket>, Peer::Unix))
            .ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl System for ShuttleSystem {
    fn spawn(&self, _name: String, task: ThreadTask) -> io::Result<()> {
        thread::spawn(move || {
            task();
            wake_all();
        });
        Ok(())
    }

    fn now(&self) -> Instant {
        self.0
    }
}
