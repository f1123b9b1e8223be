//! A raw TCP echo server on `mio` alone: the floor that this library stands on.
//!
//!     cargo run --example raw_mio_echo [ADDRESS]        (127.0.0.1:7001 unless given)
//!
//! One thread, one [`Poll`], one slab of connections. It shows what any such server owes its clients:
//! - *Edge-triggered readiness is remembered.* `mio` reports a change once. Whoever stops before `WouldBlock`, because
//!   output is blocked or the turn is over, keeps the flag and comes back unasked: no second event will say so.
//! - *Backpressure.* What a socket did not take is kept, [`READ_BYTES`] at most, and nothing more is read until it is
//!   gone: TCP stops a client that does not read. (One that writes megabytes before it reads any waits for ever.)
//! - *Fairness.* A connection does a bounded piece of work in a turn, then stands at the end of the queue again.
//! - *Isolation.* An error ends the one client that it belongs to; running out of descriptors ends nobody.
//!
//! Left out, and found in the library: frames, deadlines, limits, messages from other threads, an orderly stop.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The most that one read takes, and so the most that is ever owed to one client.
const READ_BYTES: usize = 64 * 1024;
/// Reads that one connection may do before the others have their turn.
const MAX_READS_PER_TURN: usize = 4;
/// Connections accepted in one turn, so that a flood of newcomers does not starve those already here.
const MAX_ACCEPTS_PER_TURN: usize = 64;
/// How long a failed `accept` is left alone, unless a connection closes before.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection's token is its slab key, and the slab never grows as far as this.
const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7001".to_owned());
    let address = address.parse().map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    let (poll, mut listener) = (Poll::new()?, TcpListener::bind(address)?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    writeln!(io::stdout(), "listening echo tcp {}", listener.local_addr()?)?;
    io::stdout().flush()?;
    let (connections, ready, buffer) = (Slab::new(), Vec::new(), vec![0; READ_BYTES]);
    Server { poll, listener, accept_at: None, connections, ready, buffer }.run()
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    /// When to call `accept` next; `None` until an event says that somebody waits.
    accept_at: Option<Instant>,
    connections: Slab<Connection>,
    /// Keys of the connections that may be able to do something, each at most once.
    ready: Vec<usize>,
    /// Where every read lands. One is enough: what it holds is written or copied before the next read.
    buffer: Vec<u8>,
}

impl Server {
    /// Turns until the poll itself fails. A turn marks what all its events say before it acts on any, so no event can
    /// reach the next tenant of its connection's slot: slots are emptied and filled only after the batch.
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            // Work that no event will announce, because the edge has been seen already, must not wait for one.
            let now_or_at = if self.ready.is_empty() { self.accept_at } else { Some(Instant::now()) };
            let timeout = now_or_at.map(|at| at.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, timeout) {
                // signal(7): a handler, or a mere stop and continue, interrupts epoll_wait(2).
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            events.iter().for_each(|event| self.mark(event));
            // Whoever queues again meanwhile does so for the next turn.
            for key in std::mem::take(&mut self.ready) {
                self.step(key);
            }
            self.accept();
        }
    }

    /// Remembers what an event says. It is a hint, never a fact: a spurious one costs a read that finds nothing.
    fn mark(&mut self, event: &mio::event::Event) {
        let Token(key) = event.token();
        if event.token() == LISTENER {
            self.accept_at.get_or_insert_with(Instant::now);
        } else if let Some(connection) = self.connections.get_mut(key) {
            // An error or a closed half may come alone; the next read or write learns what it was.
            connection.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            connection.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
            if !std::mem::replace(&mut connection.queued, true) {
                self.ready.push(key);
            }
        }
    }

    fn step(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Ok(ControlFlow::Continue(())) = connection.step(&mut self.buffer) {
            connection.queued = connection.can_read();
            if connection.queued {
                self.ready.push(key);
            }
            return;
        }
        // It has ended or failed, and that is its own affair. Dropping it closes the socket, which may free the very
        // descriptor that `accept` was short of.
        self.connections.try_remove(key);
        self.accept_at = self.accept_at.map(|at| at.min(Instant::now()));
    }

    fn accept(&mut self) {
        for _ in 0..MAX_ACCEPTS_PER_TURN {
            if self.accept_at.is_none_or(|at| at > Instant::now()) {
                return;
            }
            match self.listener.accept() {
                // A stream that cannot be registered is closed by being dropped.
                Ok((stream, _)) => drop(self.open(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accept_at = None,
                // That client gave up while it waited: the next one is not to blame.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                // EMFILE, ENFILE, ENOMEM: see accept(2). The client stays in the backlog, so trying again at once would
                // spin, and no event will say when to. `eprintln!` would panic if nobody read it.
                Err(error) => {
                    drop(writeln!(io::stderr(), "accept: {error}; trying again later"));
                    self.accept_at = Some(Instant::now() + ACCEPT_PAUSE);
                }
            }
        }
    }

    fn open(&mut self, mut stream: TcpStream) -> io::Result<()> {
        // Nagle's algorithm would hold a small answer back until the one before it is acknowledged.
        stream.set_nodelay(true)?;
        let slot = self.connections.vacant_entry();
        // Interest never changes after this. What is true already comes as the first event.
        self.poll.registry().register(&mut stream, Token(slot.key()), Interest::READABLE | Interest::WRITABLE)?;
        slot.insert(Connection { stream, readable: false, writable: false, queued: false, owed: Vec::new() });
        Ok(())
    }
}

struct Connection {
    stream: TcpStream,
    /// What events have said and no `WouldBlock` has denied since.
    readable: bool,
    writable: bool,
    /// Its key is in the ready queue.
    queued: bool,
    /// Read, but not yet taken by the socket. It owns heap only while it holds something.
    owed: Vec<u8>,
}

impl Connection {
    /// While anything is owed nothing is read, but `readable` stays as it is: the step that pays goes on reading by it.
    fn can_read(&self) -> bool {
        self.readable && self.owed.is_empty()
    }

    /// Writes what is owed, then echoes until a call would block or the turn is over. Breaks at the end of the input.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<ControlFlow<()>> {
        if self.writable {
            let owed = std::mem::take(&mut self.owed);
            self.send(&owed)?;
        }
        for _ in 0..MAX_READS_PER_TURN {
            if !self.can_read() {
                break;
            }
            match self.stream.read(buffer) {
                // All is said, and answered too, as nothing is read while anything is owed. Nor is input left unread,
                // which would turn the close into a reset (RFC 2525, 2.17): the client reads the rest, then the end.
                Ok(0) => return Ok(ControlFlow::Break(())),
                Ok(read) => self.send(buffer.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Writes until all is taken or the socket is full, and keeps the rest.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    self.owed = bytes.to_vec();
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
