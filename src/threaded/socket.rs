//! The sockets of the engine: listeners, the streams of connections, and consoles; and waiting for
//! their readiness.
//!
//! A connection's socket is in blocking mode, and each call chooses whether it blocks. A write
//! never blocks: the write queue holds what the socket does not take. A read blocks only if its
//! thread has nothing else to wait for, and at most for [`READ_TIMEOUT`].
//!
//! One end of a console's socket pair is a connection like any other, and two threads copy bytes
//! between the other end and the operator. So no other thread of the engine waits for a terminal.
//! Neither thread keeps the engine alive: the input may never come and the output may never move.
//! The threads hold nothing of the engine. The engine waits for the writing thread only, at most
//! until the drain deadline.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self as std_net, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use socket2::SockRef;

use crate::connection::Stream;
use crate::engine::limits::Limits;
use crate::net::{Endpoint, SocketStream, StreamListener, wait};
use crate::service::{Peer, ServiceId};

/// The longest time that a read blocks. A connection that receives nothing for this time is idle
/// and waits in poll(2), without periodic wake-ups.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// The socket of a connection, shared by the threads that may shut it down. Tests script it.
pub(super) trait ConnSocket: AsFd + Send + Sync {
    fn receive(&self, buffer: &mut [u8], blocks: bool) -> io::Result<usize>;
    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>], blocks: bool) -> io::Result<usize>;
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;
    fn send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sets the timeout of blocking reads.
    fn set_read_timeout(&self) -> io::Result<()>;

    /// Shuts both directions down. The descriptor stays open.
    fn shut_down(&self);

    /// Shuts reading down, which wakes a thread that blocks in a read. Bytes that the peer sends
    /// afterwards may reset the connection.
    fn shut_down_read(&self);

    fn shut_down_write(&self) -> io::Result<()>;

    /// As [`Stream::received_by_peer`].
    fn received_by_peer(&self) -> Option<u64>;

    /// As [`Stream::unread_bytes`].
    fn unread_bytes(&self) -> usize;

    /// As [`Stream::abort_on_close`].
    fn abort_on_close(&self);
}

impl ConnSocket for SocketStream {
    #[inline]
    fn receive(&self, buffer: &mut [u8], blocks: bool) -> io::Result<usize> {
        if blocks { (&*self).read(buffer) } else { self.try_read(buffer) }
    }

    fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>], blocks: bool) -> io::Result<usize> {
        if blocks { (&*self).read_vectored(buffers) } else { self.try_read_vectored(buffers) }
    }

    #[inline]
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(slices)
    }

    fn set_read_timeout(&self) -> io::Result<()> {
        Self::set_read_timeout(self, Some(READ_TIMEOUT))
    }

    fn shut_down(&self) {
        self.shutdown_both();
    }

    fn shut_down_read(&self) {
        self.shutdown_read();
    }

    fn shut_down_write(&self) -> io::Result<()> {
        self.shutdown_write()
    }

    fn received_by_peer(&self) -> Option<u64> {
        Self::received_by_peer(self)
    }

    fn unread_bytes(&self) -> usize {
        Self::unread_bytes(self)
    }

    fn abort_on_close(&self) {
        Self::abort_on_close(self);
    }
}

/// The connection's stream over its socket.
pub(super) struct ConnStream {
    socket: Arc<dyn ConnSocket>,
    /// True if the next read blocks.
    blocks: bool,
}

impl ConnStream {
    pub(super) fn new(socket: Arc<dyn ConnSocket>) -> Self {
        Self { socket, blocks: false }
    }

    #[inline]
    pub(super) fn set_blocking(&mut self, blocks: bool) {
        self.blocks = blocks;
    }
}

impl AsFd for ConnStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for ConnStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(buffer, self.blocks)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.receive_vectored(buffers, self.blocks)
    }
}

impl Write for ConnStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.send_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for ConnStream {
    /// Poll(2) is level-triggered: an assumed empty or full socket that is neither costs one call
    /// and loses nothing.
    #[inline]
    fn short_io_means_would_block(&self) -> bool {
        true
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shut_down_write()
    }

    fn received_by_peer(&self) -> Option<u64> {
        self.socket.received_by_peer()
    }

    fn unread_bytes(&self) -> usize {
        self.socket.unread_bytes()
    }

    fn abort_on_close(&self) {
        self.socket.abort_on_close();
    }
}

/// Waits until an entry is ready, at most for `timeout`. An error ends the wait with nothing ready.
pub(super) fn poll(poll_fds: &mut [PollFd<'_>], timeout: Option<Duration>) {
    if wait(poll_fds, timeout).is_err() {
        poll_fds.iter_mut().for_each(PollFd::clear_revents);
        std::thread::yield_now();
    }
}

/// A nonblocking socket that accepts connections. Its thread waits in poll(2), where the engine's
/// notifier can wake it. Tests script it.
pub(super) trait Listener: AsFd + Send {
    fn accept(&self) -> io::Result<(Arc<dyn ConnSocket>, Peer)>;

    /// Returns true if accepted sockets have the read timeout already.
    fn has_read_timeout(&self) -> bool {
        false
    }
}

/// Binds a listener. Returns it and the endpoint that is bound.
pub(super) fn bind_listener(endpoint: &Endpoint, limits: &Limits) -> io::Result<(Box<dyn Listener>, Endpoint)> {
    let (listener, bound) = StreamListener::bind(endpoint, limits.backlog, limits.keepalive)?;
    if listener.accepted_inherit_options() {
        SockRef::from(&listener).set_read_timeout(Some(READ_TIMEOUT))?;
    }
    Ok((Box::new(listener), bound))
}

impl Listener for StreamListener {
    fn accept(&self) -> io::Result<(Arc<dyn ConnSocket>, Peer)> {
        let (stream, addr) = Self::accept(self)?;
        Ok((Arc::new(stream), addr.map_or(Peer::Unix, Peer::Tcp)))
    }

    fn has_read_timeout(&self) -> bool {
        self.accepted_inherit_options()
    }
}

/// A bound UDP socket and its service.
pub(super) struct UdpBinding {
    /// `None` once the socket is closed.
    socket: RwLock<Option<Arc<UdpSocket>>>,
    pub(super) local: SocketAddr,
    pub(super) service: ServiceId,
}

impl UdpBinding {
    pub(super) fn new(socket: UdpSocket, local: SocketAddr, service: ServiceId) -> Self {
        Self { socket: RwLock::new(Some(Arc::new(socket))), local, service }
    }

    pub(super) fn socket(&self) -> Option<Arc<UdpSocket>> {
        self.socket.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the socket, once no other thread sends through it.
    pub(super) fn close(&self) {
        *self.socket.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sends one datagram without waiting. Fails if the socket is full or closed.
    pub(super) fn send(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        let socket = self.socket.read().unwrap_or_else(PoisonError::into_inner);
        let socket = socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        socket.send_to(payload, to).map(drop)
    }
}

/// Bytes of a copy buffer.
const COPY_BUFFER_BYTES: usize = 16 * 1024;

/// Copies input to the connection until either ends. Polls for both: a thread that blocks in a read
/// would take the next line from the terminal's next reader.
pub(super) fn copy_input(input: &OwnedFd, mut socket: UnixStream) {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let mut poll_fds = [PollFd::new(input, PollFlags::IN), PollFd::new(&socket, PollFlags::empty())];
        poll(&mut poll_fds, None);
        let [input_ready, socket_closed] = poll_fds.each_ref().map(|poll_fd| !poll_fd.revents().is_empty());
        if socket_closed {
            return;
        }
        if !input_ready {
            continue;
        }
        match rustix::io::read(input, &mut buffer) {
            // A terminal that has hung up, or that this session has lost, reports EIO (read(2)).
            Ok(0) | Err(Errno::IO) => break,
            Ok(bytes) => {
                if socket.write_all(buffer.get(..bytes).unwrap_or_default()).is_err() {
                    return;
                }
            }
            // Another process has set O_NONBLOCK on the input or has read it first.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                log::warn!("console read failed: {error}; its input ends");
                break;
            }
        }
    }
    let _ = socket.shutdown(std_net::Shutdown::Write);
}

/// Copies the connection's output until it ends or a write fails.
pub(super) fn copy_output(mut socket: UnixStream, output: &OwnedFd) {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let bytes = match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if let Err(error) = write_all(output, buffer.get(..bytes).unwrap_or_default()) {
            log::debug!("console write failed: {error}; the console closes");
            break;
        }
    }
    // In every case the operator has closed or the connection has ended, so the connection ends
    // too.
    let _ = socket.shutdown(std_net::Shutdown::Both);
}

fn write_all(output: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(output, bytes) {
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Another process has set O_NONBLOCK on the output.
            Err(Errno::AGAIN) => poll(&mut [PollFd::new(output, PollFlags::OUT)], None),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
