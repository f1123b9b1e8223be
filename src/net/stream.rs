//! The stream of a connection: a TCP connection or a Unix-domain socket.
//!
//! The system calls for reading and writing are the same for both, so one type serves both. Each
//! call chooses whether it waits: `Read` and `Write` wait, the methods `try_…` never do. This module
//! must not know frames, a poll or an engine.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmsg};
use socket2::{Domain, SockAddr, Socket, Type};

use super::endpoint::Endpoint;
use super::socket_options::SEND_NOW;

/// Flags of a write that may wait: those of [`SEND_NOW`] without the one that prevents it.
const SEND: SendFlags = SEND_NOW.difference(SendFlags::DONTWAIT);

/// A connected stream: TCP or Unix-domain. A reference can also read and write, so that two threads
/// can use the two directions.
#[derive(Debug)]
pub struct SocketStream {
    socket: Socket,
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

    /// Starts to connect without waiting. The stream is writable when the attempt has ended;
    /// [`check_connected`](Self::check_connected) returns the result.
    #[cfg(feature = "cli")]
    pub(crate) fn start_connect(endpoint: &Endpoint) -> io::Result<Self> {
        let (domain, addr) = match endpoint {
            Endpoint::Tcp(addr) => (Domain::for_address(*addr), SockAddr::from(*addr)),
            Endpoint::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
            Endpoint::Udp(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&addr) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
            Ok(()) | Err(_) => Ok(Self::new(socket, matches!(endpoint, Endpoint::Tcp(_)))),
        }
    }

    /// Returns true if the connection is established, false if the attempt goes on.
    ///
    /// # Errors
    /// The reason why the attempt has failed.
    #[cfg(feature = "cli")]
    pub(crate) fn check_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        if !self.is_tcp {
            return Ok(true);
        }
        match self.socket.peer_addr() {
            // A socket that connects to a free local port may have been given that port itself, and
            // is then connected to itself (TCP simultaneous open, RFC 9293 section 3.5).
            Ok(peer) if self.socket.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => {
                // Small messages leave immediately. On failure the connection is only slower.
                let _ = self.socket.set_tcp_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
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

    /// Shuts down both directions, which also ends calls that wait in other threads. This has no
    /// effect on a stream that has ended.
    pub fn shutdown_both(&self) {
        // The only possible error is ENOTCONN: the connection has ended already.
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

impl Read for SocketStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for SocketStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// Repeated connects to a closed local port produce such a socket now and then.
    #[cfg(feature = "cli")]
    #[test]
    fn a_self_connected_socket_counts_as_refused() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let stream = SocketStream::new(socket, true);
        assert_eq!(stream.check_connected().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

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
