//! The socket of a fetch, and the wait for its events. In `client::http`, only this file names
//! `mio`.
//!
//! The socket is nonblocking. It is registered once, for both directions, edge-triggered;
//! `HttpConnection` remembers the readiness.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

/// Tokens of the socket, of the resolver thread's waker, and of the caller's cancel descriptor.
const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
#[cfg(unix)]
const CANCEL: Token = Token(2);

/// A way to cancel a [`fetch`](super::fetch()) from outside, for example from a signal handler.
#[derive(Clone, Copy, Debug)]
pub struct CancelToken<'a> {
    #[cfg(unix)]
    readable: Option<std::os::fd::BorrowedFd<'a>>,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> CancelToken<'a> {
    /// Returns a token that never cancels.
    pub fn never() -> Self {
        Self {
            #[cfg(unix)]
            readable: None,
            lifetime: PhantomData,
        }
    }

    /// Returns a token that cancels when `readable` becomes readable, for example the read end of a
    /// signal handler's pipe. The fetch never reads from it.
    #[cfg(unix)]
    pub fn when_readable(readable: std::os::fd::BorrowedFd<'a>) -> Self {
        Self { readable: Some(readable), lifetime: PhantomData }
    }
}

/// Readiness reported by one wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PollEvents {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) cancelled: bool,
}

/// The poll instance of a fetch.
pub(super) struct SocketPoller {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
}

impl SocketPoller {
    pub(super) fn new(cancel: CancelToken<'_>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        #[cfg(unix)]
        if let Some(readable) = cancel.readable {
            use mio::unix::SourceFd;
            use std::os::fd::AsRawFd;
            poll.registry().register(&mut SourceFd(&readable.as_raw_fd()), CANCEL, Interest::READABLE)?;
        }
        #[cfg(not(unix))]
        let CancelToken { lifetime: _ } = cancel;
        Ok(Self { poll, events: Events::with_capacity(8), waker })
    }

    /// Returns a function that ends a wait from another thread.
    pub(super) fn waker(&self) -> impl FnOnce() + Send + 'static {
        let waker = Arc::clone(&self.waker);
        // The wake fails only if the poll was dropped; then no wait is left to end.
        move || _ = waker.wake()
    }

    /// Waits for an event, for at most `timeout`.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<PollEvents> {
        let mut ready = PollEvents::default();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(ready),
            polled => polled?,
        }
        for event in &self.events {
            match event.token() {
                SOCKET => {
                    ready.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    ready.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
                }
                #[cfg(unix)]
                CANCEL => ready.cancelled = true,
                _ => {}
            }
        }
        Ok(ready)
    }

    /// Starts to connect. A writable event reports the result: connect(2), EINPROGRESS.
    pub(super) fn connect(&self, addr: SocketAddr) -> io::Result<HttpSocket> {
        let mut stream = TcpStream::connect(addr)?;
        self.poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        Ok(HttpSocket(stream))
    }
}

/// A TCP socket, connecting or connected. Dropping it closes the connection and ends its
/// registration.
pub(super) struct HttpSocket(TcpStream);

impl HttpSocket {
    /// Returns true if the connection is established, false if it is still connecting.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) fn check_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            // A connect to an unused port in the ephemeral range can connect the socket to
            // itself (TCP simultaneous open).
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
