//! A blocking stream to a server, over TCP or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::net::Endpoint;

/// A connected stream. Two threads can use its two directions: see [`ClientStream::try_clone`].
#[derive(Debug)]
pub enum ClientStream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A Unix-domain stream socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Evaluates the same expression for each transport.
macro_rules! for_transport {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Tcp($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
        }
    };
}

impl ClientStream {
    /// Connects to the first of `endpoints` that accepts. Each TCP attempt ends after `timeout`.
    ///
    /// # Errors
    /// The error of the last attempt; `Unsupported` for a UDP endpoint, `InvalidInput` if
    /// `endpoints` is empty.
    pub fn connect(endpoints: &[Endpoint], timeout: Duration) -> io::Result<Self> {
        let mut last_error = io::Error::from(io::ErrorKind::InvalidInput);
        for endpoint in endpoints {
            match Self::connect_one(endpoint, timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    fn connect_one(endpoint: &Endpoint, timeout: Duration) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let stream = TcpStream::connect_timeout(addr, timeout)?;
                // A request is one small write, and the client may send the next before the
                // reply arrives; Nagle's algorithm would delay it.
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            #[cfg(not(unix))]
            Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Endpoint::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Returns a second handle of the same stream.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    /// Sets the timeout of each read; `None` waits without limit.
    ///
    /// # Errors
    /// `InvalidInput` if the timeout is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        for_transport!(self, stream => stream.set_read_timeout(timeout))
    }

    /// Sets the timeout of each write; `None` waits without limit.
    ///
    /// # Errors
    /// `InvalidInput` if the timeout is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        for_transport!(self, stream => stream.set_write_timeout(timeout))
    }

    /// Makes the stream nonblocking or blocking. On a nonblocking stream, a read or write that
    /// would wait fails with `WouldBlock`.
    ///
    /// # Errors
    /// The system rejects the option.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        for_transport!(self, stream => stream.set_nonblocking(nonblocking))
    }

    /// Shuts down the write direction. The server then reads the end of the stream.
    ///
    /// # Errors
    /// The system's error; `NotConnected` if the connection has ended.
    pub fn shutdown_write(&self) -> io::Result<()> {
        for_transport!(self, stream => stream.shutdown(Shutdown::Write))
    }

    /// Shuts down both directions, which also ends blocked calls on other handles. This has no
    /// effect on a stream that has ended.
    pub fn shutdown_both(&self) {
        // The only possible error is ENOTCONN: the connection has ended already.
        let _ = for_transport!(self, stream => stream.shutdown(Shutdown::Both));
    }
}

#[cfg(unix)]
impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        for_transport!(self, stream => stream.as_fd())
    }
}

impl Read for ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for_transport!(self, stream => stream.read(buffer))
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for_transport!(self, stream => stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        for_transport!(self, stream => stream.flush())
    }
}
