//! The one socket of a fetch and what it waits for, through `mio`: the only file here that names it.
//!
//! The socket never waits. It is registered once, for both directions, edge-triggered; who reads and writes remembers readiness.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

/// Events of the socket, of the thread that looks names up, and of whoever has us stop.
const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
#[cfg(unix)]
const STOP: Token = Token(2);

/// How a fetch is told to stop from outside.
#[derive(Clone, Copy, Debug)]
pub struct Stop<'a> {
    #[cfg(unix)]
    bell: Option<std::os::fd::BorrowedFd<'a>>,
    lives: PhantomData<&'a ()>,
}

impl<'a> Stop<'a> {
    /// It is not.
    pub fn never() -> Self {
        Self {
            #[cfg(unix)]
            bell: None,
            lives: PhantomData,
        }
    }

    /// By a pipe that becomes readable, as a signal handler makes it. It is never read.
    #[cfg(unix)]
    pub fn when_readable(bell: std::os::fd::BorrowedFd<'a>) -> Self {
        Self { bell: Some(bell), lives: PhantomData }
    }
}

/// What a wait has brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Woken {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) stop: bool,
}

/// All that is waited for.
pub(super) struct Net {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
}

impl Net {
    pub(super) fn new(stop: Stop<'_>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        #[cfg(unix)]
        if let Some(bell) = stop.bell {
            use mio::unix::SourceFd;
            use std::os::fd::AsRawFd;
            poll.registry().register(&mut SourceFd(&bell.as_raw_fd()), STOP, Interest::READABLE)?;
        }
        #[cfg(not(unix))]
        let Stop { lives: _ } = stop;
        Ok(Self { poll, events: Events::with_capacity(8), waker })
    }

    /// What ends a wait from another thread.
    pub(super) fn waker(&self) -> impl FnOnce() + Send + 'static {
        let waker = Arc::clone(&self.waker);
        // If the poll has gone, nobody waits any more.
        move || _ = waker.wake()
    }

    /// Waits until something happens, for `timeout` at most.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut woken = Woken::default();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(woken),
            polled => polled?,
        }
        for event in &self.events {
            match event.token() {
                SOCKET => {
                    woken.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    woken.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
                }
                #[cfg(unix)]
                STOP => woken.stop = true,
                _ => {}
            }
        }
        Ok(woken)
    }

    /// Begins to connect; it is writable when that is decided.
    pub(super) fn connect(&self, addr: SocketAddr) -> io::Result<Socket> {
        let mut stream = TcpStream::connect(addr)?;
        self.poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket(stream))
    }
}

/// A connection, or one that is to be. Dropping it closes it, which ends its registration too.
pub(super) struct Socket(TcpStream);

impl Socket {
    /// Whether the connection stands, after an event; an error when it never will.
    pub(super) fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            // A port that nobody listens at may be the very one that this socket was given: then it is its own echo.
            Ok(peer) if self.0.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}
