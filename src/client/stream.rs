//! A blocking stream to a server, whichever transport it has.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::net::Endpoint;

/// A connected stream. Its two directions may be used by two threads: see [`Stream::try_clone`].
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix-domain socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The same call on whichever transport it is.
macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Tcp($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
        }
    };
}

impl Stream {
    /// Connects to the first of `endpoints` that answers; a TCP address has `limit` to do so.
    ///
    /// # Errors
    /// What was said about the last of them; `Unsupported` for a UDP address, and `InvalidInput` where there is none at all.
    pub fn connect(endpoints: &[Endpoint], limit: Duration) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::InvalidInput);
        for endpoint in endpoints {
            match Self::connect_one(endpoint, limit) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn connect_one(endpoint: &Endpoint, limit: Duration) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let stream = TcpStream::connect_timeout(addr, limit)?;
                // A request is one small write, and the next does not wait for its answer.
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

    /// A second handle of the same stream.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    /// How long a read may wait; nothing: for ever.
    ///
    /// # Errors
    /// When the length is zero.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        either!(self, stream => stream.set_read_timeout(limit))
    }

    /// How long a write may wait; nothing: for ever.
    ///
    /// # Errors
    /// When the length is zero.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        either!(self, stream => stream.set_write_timeout(limit))
    }

    /// Whether reads and writes that would wait fail with `WouldBlock` instead.
    ///
    /// # Errors
    /// What the system said.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        either!(self, stream => stream.set_nonblocking(nonblocking))
    }

    /// Ends the writing direction, which tells the server that no more comes.
    ///
    /// # Errors
    /// What the system said; `NotConnected` where the stream has ended.
    pub fn shutdown_write(&self) -> io::Result<()> {
        either!(self, stream => stream.shutdown(Shutdown::Write))
    }

    /// Ends both directions, which also ends what other handles wait for. A stream that has ended already stays so.
    pub fn hang_up(&self) {
        // All that can go wrong is that it has happened before.
        let _ = either!(self, stream => stream.shutdown(Shutdown::Both));
    }
}

#[cfg(unix)]
impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, stream => stream.as_fd())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buffer))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        either!(self, stream => stream.flush())
    }
}
