//! A connection's socket, and waiting for readiness.
//!
//! The socket is in blocking mode, and each call chooses whether it blocks. A write never blocks:
//! the write queue holds what the socket does not take. A read blocks only if its thread has
//! nothing else to wait for, and at most for [`READ_TIMEOUT`].

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, Timespec};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, Shutdown, recv, recvmsg, send, sendmsg, shutdown,
};

use crate::connection::Stream;
use crate::net::SEND_NOW;

/// The longest time that a read blocks. A connection that receives nothing for this time is idle
/// and waits in poll(2), without periodic wake-ups.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// The descriptor of a connection, shared by the threads that may shut it down.
pub(super) struct ThreadSocket(OwnedFd);

impl ThreadSocket {
    pub(super) fn new(socket: impl Into<OwnedFd>) -> Self {
        Self(socket.into())
    }

    /// Sets the timeout of blocking reads.
    pub(super) fn set_read_timeout(&self) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(READ_TIMEOUT))?)
    }

    /// Shuts both directions down. The descriptor stays open.
    pub(super) fn shut_down(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    /// Shuts reading down, which wakes a thread that blocks in a read. Bytes that the peer sends
    /// afterwards may reset the connection.
    pub(super) fn shut_down_read(&self) {
        let _ = shutdown(&self.0, Shutdown::Read);
    }
}

impl AsFd for ThreadSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The connection's stream over its socket.
pub(super) struct ConnStream {
    socket: Arc<ThreadSocket>,
    /// True if the next read blocks.
    blocks: bool,
}

impl ConnStream {
    pub(super) fn new(socket: Arc<ThreadSocket>) -> Self {
        Self { socket, blocks: false }
    }

    #[inline]
    pub(super) fn set_blocking(&mut self, blocks: bool) {
        self.blocks = blocks;
    }

    #[inline]
    fn flags(&self) -> RecvFlags {
        if self.blocks { RecvFlags::empty() } else { RecvFlags::DONTWAIT }
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
        Ok(recv(&self.socket.0, buffer, self.flags())?.0)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let message = recvmsg(&self.socket.0, buffers, &mut RecvAncillaryBuffer::default(), self.flags())?;
        Ok(message.bytes)
    }
}

impl Write for ConnStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket.0, bytes, SEND_NOW)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(&self.socket.0, slices, &mut SendAncillaryBuffer::default(), SEND_NOW)?)
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
        Ok(shutdown(&self.socket.0, Shutdown::Write)?)
    }
}

/// Waits until an entry is ready, at most for `timeout`. A signal ends the wait with nothing ready.
pub(super) fn poll(poll_fds: &mut [PollFd<'_>], timeout: Option<Duration>) {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    if rustix::event::poll(poll_fds, timeout.as_ref()).is_err() {
        poll_fds.iter_mut().for_each(PollFd::clear_revents);
        std::thread::yield_now();
    }
}
