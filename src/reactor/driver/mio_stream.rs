//! The byte stream of a connection on the reactor: a socket or a console.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use mio::{Interest, Registry};

use super::console_stream::{ConsoleStream, watch};
use crate::connection::Stream;
use crate::net::SocketStream;

/// The stream of a connection. No call waits. Dropping it closes the socket, which also ends its
/// registration.
pub(crate) enum MioStream {
    Socket(SocketStream),
    /// On the heap, because consoles are few and must not make each connection larger.
    Console(Box<ConsoleStream>),
}

impl MioStream {
    /// Registers the stream under `key`, edge-triggered. Returns true if the stream is always ready
    /// and no poll will report it.
    pub(super) fn register(&mut self, registry: &Registry, key: usize) -> io::Result<bool> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            #[cfg(target_os = "linux")]
            Self::Socket(stream) if stream.is_tcp() => watch(registry, stream, key, interest | Interest::PRIORITY)?,
            Self::Socket(stream) => watch(registry, stream, key, interest)?,
            Self::Console(console) => return console.register(registry, key),
        }
        Ok(false)
    }
}

impl Read for MioStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_read(buffer),
            Self::Console(console) => console.read(buffer),
        }
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_read_vectored(buffers),
            Self::Console(console) => console.read_vectored(buffers),
        }
    }
}

impl Write for MioStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_write(bytes),
            Self::Console(console) => console.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_write_vectored(slices),
            Self::Console(console) => console.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for MioStream {
    /// Returns true for TCP: epoll(7), question 9. The exception is a read that ends at urgent
    /// data, which has an event of its own. A read of a Unix-domain socket also ends where
    /// descriptors were passed, and no event reports that.
    #[inline]
    fn short_io_means_would_block(&self) -> bool {
        matches!(self, Self::Socket(stream) if stream.is_tcp())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Socket(stream) => stream.shutdown_write(),
            // A console has no writing side to shut down, and unread input causes no reset.
            Self::Console(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn received_by_peer(&self) -> Option<u64> {
        match self {
            Self::Socket(stream) => stream.received_by_peer(),
            Self::Console(_) => None,
        }
    }

    fn unread_bytes(&self) -> usize {
        match self {
            Self::Socket(stream) => stream.unread_bytes(),
            Self::Console(_) => 0,
        }
    }

    fn abort_on_close(&self) {
        if let Self::Socket(stream) = self {
            stream.abort_on_close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;

    /// An idle connection costs its slot in the slab and no heap. 100 000 of them take 17 MB.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection<MioStream>>() <= 168, "{} bytes", size_of::<Connection<MioStream>>());
    }
}
