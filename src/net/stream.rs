//! The stream of a connection: a TCP connection or a Unix-domain socket.
//!
//! The system calls for reading and writing are the same for both, so one type serves both. Each
//! call chooses whether it waits: `Read` and `Write` wait, the methods `try_…` never do. This
//! module must not know frames, a poll or an engine.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionread;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmsg};
use socket2::{Domain, SockAddr, Socket, Type};

use super::endpoint::Endpoint;
use super::socket_options::SEND_NOW;
use super::tcp_info;

/// Flags of a write that may wait: those of [`SEND_NOW`] without the one that prevents it.
const SEND: SendFlags = SEND_NOW.difference(SendFlags::DONTWAIT);

/// The shortest time of one attempt to connect. For the system, zero means no timeout.
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_millis(1);

/// A connected stream: TCP or Unix-domain. A reference reads and writes, so two threads can use the
/// two directions.
#[derive(Debug)]
pub struct SocketStream {
    pub(super) socket: Socket,
    is_tcp: bool,
}

impl SocketStream {
    /// Connects to the first of `endpoints` that accepts. All attempts together end after
    /// `timeout`. Each gets an equal share of the remaining time, so that a silent first address
    /// leaves time for the others.
    ///
    /// # Errors
    /// The error of the last attempt; `TimedOut` if it got no answer in its share of the time, or
    /// the backlog of a Unix-domain socket stayed full; `Unsupported` for a UDP endpoint,
    /// `InvalidInput` if `endpoints` is empty.
    pub fn connect(endpoints: &[Endpoint], timeout: Duration) -> io::Result<Self> {
        let until = Instant::now().checked_add(timeout);
        let mut last_error = io::Error::from(io::ErrorKind::InvalidInput);
        for (endpoint, remaining) in endpoints.iter().zip((1..=endpoints.len()).rev()) {
            let left = until.map_or(timeout, |until| until.saturating_duration_since(Instant::now()));
            let share = left / u32::try_from(remaining).unwrap_or(u32::MAX);
            match Self::connect_one(endpoint, share.max(MIN_CONNECT_TIMEOUT)) {
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
            Endpoint::Unix(path) => Self::connect_unix(path, timeout),
            Endpoint::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Connects to the socket at `path`. No event reports that a full backlog has room again. But a
    /// blocking connect(2) waits for it, at most for the send timeout of the socket (unix(7)).
    fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Self> {
        let (socket, addr) = (Socket::new(Domain::UNIX, Type::STREAM, None)?, SockAddr::unix(path)?);
        let until = Instant::now().checked_add(timeout);
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()).max(MIN_CONNECT_TIMEOUT));
        loop {
            socket.set_write_timeout(left())?;
            match socket.connect(&addr) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let text = "the backlog of the socket is full";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(error) => return Err(error),
            }
        }
        socket.set_write_timeout(None)?;
        Ok(Self::new(socket, false))
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

    /// Returns the number of sent bytes that the peer's system has acknowledged; `None` if this
    /// system does not tell.
    pub(crate) fn received_by_peer(&self) -> Option<u64> {
        if self.is_tcp { tcp_info::received_by_peer(&self.socket) } else { None }
    }

    /// Returns the number of bytes that have arrived and are not read.
    pub(crate) fn unread_bytes(&self) -> usize {
        ioctl_fionread(&self.socket).map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Makes the close of this socket abortive: the kernel drops what it has not sent, and resets
    /// the connection (`SO_LINGER` of zero, socket(7)).
    pub(crate) fn abort_on_close(&self) {
        // If the connection has ended, nothing is left to drop.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
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

    /// Calls `connect` on another thread. Fails the test if it does not return.
    fn bounded<T: Send + 'static>(connect: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(connect()));
        result.recv_timeout(Duration::from_secs(20)).expect("connecting has no time limit")
    }

    /// On other systems a full backlog refuses the connection.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_backlog_of_a_unix_socket_has_a_time_limit() {
        let path = std::env::temp_dir().join(format!("switchboard-full-{}", std::process::id()));
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let endpoint = Endpoint::Unix(path.clone());
        let connect = move |timeout| {
            let endpoint = endpoint.clone();
            bounded(move || SocketStream::connect(&[endpoint], timeout))
        };
        // The backlog has room for one connection.
        let _first = connect(Duration::from_secs(10)).unwrap();
        let full = connect(Duration::from_millis(20)).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::TimedOut, "{full}");
        // The next connection waits until there is room, and its writes then have no timeout.
        let accepting = std::thread::spawn(move || listener.accept().map(|accepted| (accepted, listener)));
        let second = connect(Duration::from_secs(15)).unwrap();
        assert_eq!(second.socket.write_timeout().unwrap(), None);
        drop(accepting.join());
        let _ = std::fs::remove_file(path);
    }

    /// The kernel drops the first packet of a handshake that a full backlog has no room for.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_time_limit_is_for_all_addresses_together() {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap().as_socket().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
            held.push(stream);
            assert!(held.len() < 10, "the backlog does not fill");
        }
        let begun = Instant::now();
        let error = SocketStream::connect(&vec![Endpoint::Tcp(addr); 20], Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        // With a limit for each address, 20 seconds would pass.
        assert!((1..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
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
