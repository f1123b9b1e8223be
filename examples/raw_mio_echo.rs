//! A raw TCP echo server on `mio` alone, without this library.
//!
//!     cargo run --example raw_mio_echo [ADDRESS]        (default 127.0.0.1:7001)
//!
//! One thread, one [`Poll`], one slab of connections. It shows the four rules of such a server:
//! - *Readiness is remembered.* `mio` reports a change once (edge-triggered). A connection that
//!   stops before `WouldBlock`, because its output is blocked or its turn is over, keeps its flag
//!   and stays in the ready queue: no second event will come.
//! - *Backpressure.* Bytes that a socket did not accept are kept, at most [`READ_BYTES`], and the
//!   connection is not read until they are sent. TCP then stops a client that does not read. (A
//!   client that writes megabytes before it reads waits for ever.)
//! - *Fairness.* A connection does a bounded amount of work per turn, then goes to the end of the
//!   queue.
//! - *Isolation.* An error closes the one connection that it belongs to; running out of descriptors
//!   closes none.
//!
//! The library adds frames, deadlines, limits, messages from other threads, and a graceful stop.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The size of one read, and so the largest number of unsent bytes of one connection.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one connection in one turn.
const MAX_READS_PER_TURN: usize = 4;
/// Connections accepted in one turn, so that many new connections do not starve the open ones.
const MAX_ACCEPTS_PER_TURN: usize = 64;
/// The pause after a failed `accept`. It ends earlier if a connection closes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The listener's token. A connection's token is its slab key, which never reaches this value.
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
    /// The time of the next `accept`; `None` until an event reports a pending connection.
    accept_at: Option<Instant>,
    connections: Slab<Connection>,
    /// The ready queue: keys of connections that may be able to read or write, each at most once.
    ready: Vec<usize>,
    /// The buffer of every read. One is enough: its bytes are written or copied before the next
    /// read.
    buffer: Vec<u8>,
}

impl Server {
    /// Runs turns until the poll itself fails. A turn records all events before it handles any
    /// connection. Slots are freed and reused only after that, so no event reaches a later
    /// connection in the same slot.
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            // Connections in the ready queue get no further event, because the edge was reported
            // already: do not wait.
            let now_or_at = if self.ready.is_empty() { self.accept_at } else { Some(Instant::now()) };
            let timeout = now_or_at.map(|at| at.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, timeout) {
                // A signal handler, or SIGSTOP and SIGCONT, interrupts epoll_wait(2), see
                // signal(7).
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            events.iter().for_each(|event| self.mark_ready(event));
            // A connection that is queued again during this loop waits for the next turn.
            for key in std::mem::take(&mut self.ready) {
                self.step(key);
            }
            self.accept();
        }
    }

    /// Records an event's readiness. Events are hints: a spurious one costs a read that returns
    /// `WouldBlock`.
    fn mark_ready(&mut self, event: &mio::event::Event) {
        let Token(key) = event.token();
        if event.token() == LISTENER {
            self.accept_at.get_or_insert_with(Instant::now);
        } else if let Some(connection) = self.connections.get_mut(key) {
            // An error or a closed half may be reported alone; the next read or write returns it.
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
        // The connection has ended or failed. Dropping it closes the socket, which may free the
        // descriptor that `accept` needs.
        self.connections.try_remove(key);
        self.accept_at = self.accept_at.map(|at| at.min(Instant::now()));
    }

    fn accept(&mut self) {
        for _ in 0..MAX_ACCEPTS_PER_TURN {
            if self.accept_at.is_none_or(|at| at > Instant::now()) {
                return;
            }
            match self.listener.accept() {
                // A stream that cannot be registered is dropped, which closes it.
                Ok((stream, _)) => drop(self.open(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accept_at = None,
                // This client closed while it was pending; the next one is not affected.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                // EMFILE, ENFILE, ENOMEM, see accept(2). The client stays in the backlog, so an
                // immediate retry would spin, and no event announces a free descriptor. `eprintln!`
                // would panic if standard error were closed.
                Err(error) => {
                    drop(writeln!(io::stderr(), "accept failed: {error}; retrying in {ACCEPT_PAUSE:?}"));
                    self.accept_at = Some(Instant::now() + ACCEPT_PAUSE);
                }
            }
        }
    }

    fn open(&mut self, mut stream: TcpStream) -> io::Result<()> {
        // Nagle's algorithm would delay a small reply until the previous one is acknowledged.
        stream.set_nodelay(true)?;
        let slot = self.connections.vacant_entry();
        // The interest never changes after this. The current readiness is reported as the first
        // event.
        self.poll.registry().register(&mut stream, Token(slot.key()), Interest::READABLE | Interest::WRITABLE)?;
        slot.insert(Connection { stream, readable: false, writable: false, queued: false, unsent: Vec::new() });
        Ok(())
    }
}

struct Connection {
    stream: TcpStream,
    /// Set by events, cleared by `WouldBlock`.
    readable: bool,
    writable: bool,
    /// The connection's key is in the ready queue.
    queued: bool,
    /// Bytes read but not sent yet. It owns heap memory only while it holds bytes.
    unsent: Vec<u8>,
}

impl Connection {
    /// Returns true if the connection should be read. While bytes are unsent it is not read, but
    /// `readable` keeps its value for the step after the flush.
    fn can_read(&self) -> bool {
        self.readable && self.unsent.is_empty()
    }

    /// Writes the unsent bytes, then echoes until a call would block or the turn is over. Breaks at
    /// the end of the input.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<ControlFlow<()>> {
        if self.writable {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent)?;
        }
        for _ in 0..MAX_READS_PER_TURN {
            if !self.can_read() {
                break;
            }
            match self.stream.read(buffer) {
                // All input was read and echoed, because the connection is not read while bytes are
                // unsent. Closing with unread input would send a reset (RFC 2525, section 2.17);
                // here the client reads the rest, then the end.
                Ok(0) => return Ok(ControlFlow::Break(())),
                Ok(read) => self.send(buffer.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Writes until all bytes are sent or the socket buffer is full, and keeps the rest.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    self.unsent = bytes.to_vec();
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
