//! A connection's byte stream, of whatever kind.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

#[cfg(unix)]
use super::console_stream::Console;
use crate::connection::Stream;

/// A connection's socket. Dropping it closes it, which ends its registration too.
pub(in crate::reactor) enum OsStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// On the heap: there is one of it, and thousands of the others.
    #[cfg(unix)]
    Console(Box<Console>),
}

/// The same call on whichever socket it is.
macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Tcp($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
            #[cfg(unix)]
            Self::Console($stream) => $call,
        }
    };
}

impl Read for OsStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.read_vectored(buffers))
    }
}

impl Write for OsStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for OsStream {
    /// Of TCP sockets, epoll(7) says so (questions and answers, 9), but for a read that ends at an urgent mark, which has an
    /// event of its own. A read of a Unix-domain socket also ends where descriptors were passed, and nothing tells.
    #[inline]
    fn short_io_means_would_block(&self) -> bool {
        cfg!(unix) && matches!(self, Self::Tcp(_))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            // It has no side of its own to close, and nothing that is left unread would hurt it.
            #[cfg(unix)]
            Self::Console(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;

    /// An idle connection is its place in the slab and nothing else; what that costs is measured in whole megabytes.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection<OsStream>>() <= 176, "{} bytes", size_of::<Connection<OsStream>>());
    }
}
