//! The stream of a connection: a TCP connection or a Unix-domain socket.
//!
//! The system calls for reading and writing are the same for both, so one type serves both. Each
//! call chooses whether it waits: `Read` and `Write` wait, the methods `try_…` never do. This
//! module must not know frames, a poll or an engine.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmsg};
use socket2::Socket;

use super::endpoint::Endpoint;
use super::socket_options::SEND_NOW;

/// Flags of a write that may wait: those of [`SEND_NOW`] without the one that prevents it.
const SEND: SendFlags = SEND_NOW.difference(SendFlags::DONTWAIT);

/// A connected stream: TCP or Unix-domain. A reference reads and writes, so two threads can use the
/// two directions.
#[derive(Debug)]
pub struct SocketStream {
    pub(super) socket: Socket,
    is_tcp: bool,
}

impl SocketStream {
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
                Ok(stream.into())
            }
            Endpoint::Unix(path) => UnixStream::connect(path).map(Self::from),
            Endpoint::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Wraps a connected socket.
    pub(super) fn new(socket: Socket, is_tcp: bool) -> Self {
        Self { socket, is_tcp }
    }

    #[inline]
    pub(crate) fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// Reads once without waiting; `WouldBlock` if nothing has arrived.
    ///
    /// # Errors
    /// The system's error.
    #[inline]
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.socket, buffer, RecvFlags::DONTWAIT)?.0)
    }

    /// Reads once into several buffers without waiting.
    pub(crate) fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.receive_vectored(buffers, RecvFlags::DONTWAIT)
    }

    /// Writes once without waiting; `WouldBlock` if the system's buffer is full.
    ///
    /// # Errors
    /// The system's error.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket, bytes, SEND_NOW)?)
    }

    /// Writes several slices with one system call, without waiting.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(slices, SEND_NOW)
    }

    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>], flags: RecvFlags) -> io::Result<usize> {
        Ok(recvmsg(&self.socket, buffers, &mut RecvAncillaryBuffer::default(), flags)?.bytes)
    }

    fn send_vectored(&self, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
        Ok(sendmsg(&self.socket, slices, &mut SendAncillaryBuffer::default(), flags)?)
    }

    /// Sets the timeout of each read that waits; `None` waits without limit.
    ///
    /// # Errors
    /// `InvalidInput` if the timeout is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// Shuts down the write direction. The peer then reads the end of the stream.
    ///
    /// # Errors
    /// The system's error; `NotConnected` if the connection has ended.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Shuts down reading, which wakes a thread that waits in a read. Bytes that the peer sends
    /// afterwards may reset the connection.
    pub(crate) fn shutdown_read(&self) {
        // The only possible error is ENOTCONN: the connection has ended already.
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// Shuts down both directions, which also ends calls that wait in other threads. This has no
    /// effect on a stream that has ended.
    pub fn shutdown_both(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl From<TcpStream> for SocketStream {
    fn from(stream: TcpStream) -> Self {
        Self::new(stream.into(), true)
    }
}

impl From<UnixStream> for SocketStream {
    fn from(stream: UnixStream) -> Self {
        Self::new(stream.into(), false)
    }
}

impl AsFd for SocketStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for &SocketStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.socket, buffer, RecvFlags::empty())?.0)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.receive_vectored(buffers, RecvFlags::empty())
    }
}

impl Write for &SocketStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket, bytes, SEND)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(slices, SEND)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_try_methods_do_not_wait() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, theirs) = (SocketStream::from(ours), SocketStream::from(theirs));
        let would_block = |result: io::Result<usize>| result.unwrap_err().kind() == io::ErrorKind::WouldBlock;
        let mut buffer = [0; 8];
        assert!(would_block(ours.try_read(&mut buffer)));
        assert!(would_block(ours.try_read_vectored(&mut [IoSliceMut::new(&mut buffer)])));
        let filler = vec![0; 64 << 10];
        while theirs.try_write(&filler).is_ok() {}
        assert!(would_block(theirs.try_write(&filler)));
        assert!(would_block(theirs.try_write_vectored(&[IoSlice::new(&filler)])));
        assert_eq!((&ours).read(&mut buffer).unwrap(), 8);
        theirs.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!(would_block((&theirs).read(&mut buffer)), "a read that waits ends with its timeout");
    }
}
