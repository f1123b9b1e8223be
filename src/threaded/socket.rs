//! A connection's socket as its thread uses it, and waiting.
//!
//! The socket is a blocking one, and every call says for itself whether it waits: writes never do, because what the socket does
//! not take belongs in the queue; a read does where its thread has nothing else to wait for. Such a read comes back after
//! [`TICK`] at the latest, with nothing.

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

/// How long a read waits. Who hears nothing for so long is idle, and waits in a way that costs no wake-ups.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A connection's descriptor. It is closed when nobody holds it any more.
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn new(socket: impl Into<OwnedFd>) -> Self {
        Self(socket.into())
    }

    /// Has its reads wait for a tick and no longer.
    pub(super) fn limit_reads(&self) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(TICK))?)
    }

    /// Ends it in both directions, before the descriptor is closed.
    pub(super) fn shut(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    /// Ends its reading, which wakes whoever waits in it. What the peer sends from now on may break the connection off.
    pub(super) fn shut_reading(&self) {
        let _ = shutdown(&self.0, Shutdown::Read);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A connection's own end of its socket.
pub(super) struct Plug {
    socket: Arc<Socket>,
    /// Whether the next read waits.
    waits: bool,
}

impl Plug {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, waits: false }
    }

    #[inline]
    pub(super) fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    #[inline]
    fn flags(&self) -> RecvFlags {
        if self.waits { RecvFlags::empty() } else { RecvFlags::DONTWAIT }
    }
}

impl AsFd for Plug {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for Plug {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.socket.0, buffer, self.flags())?.0)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let message = recvmsg(&self.socket.0, buffers, &mut RecvAncillaryBuffer::default(), self.flags())?;
        Ok(message.bytes)
    }
}

impl Write for Plug {
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

impl Stream for Plug {
    /// Whoever waits is told what is there, not what has come: to have taken a socket for empty or full that is neither costs
    /// one call and loses nothing.
    #[inline]
    fn short_io_means_would_block(&self) -> bool {
        true
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(shutdown(&self.socket.0, Shutdown::Write)?)
    }
}

/// Waits until something is ready, at most for `timeout`. A signal ends the wait early, with nothing ready.
pub(super) fn poll(watched: &mut [PollFd<'_>], timeout: Option<Duration>) {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    if rustix::event::poll(watched, timeout.as_ref()).is_err() {
        watched.iter_mut().for_each(PollFd::clear_revents);
        std::thread::yield_now();
    }
}
