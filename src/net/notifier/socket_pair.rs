//! The notifier on platforms without eventfd(2): a pair of connected sockets.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// A descriptor that is readable from [`notify`](Self::notify) until [`clear`](Self::clear).
pub(crate) struct Notifier {
    sender: UnixStream,
    receiver: UnixStream,
}

impl Notifier {
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(Self { sender, receiver })
    }

    /// Makes the descriptor readable.
    pub(crate) fn notify(&self) {
        // A full socket buffer means that the receiver is readable already.
        let _ = (&self.sender).write(&[1]);
    }

    /// Makes the descriptor unreadable until the next notification.
    pub(crate) fn clear(&self) {
        while matches!((&self.receiver).read(&mut [0; 64]), Ok(1..)) {}
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
