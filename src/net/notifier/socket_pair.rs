//! What wakes a thread that waits in poll(2), where there is no eventfd(2): a pair of sockets.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Readable once it has rung, until it is hushed.
pub(crate) struct Notifier {
    rope: UnixStream,
    clapper: UnixStream,
}

impl Notifier {
    pub(crate) fn new() -> io::Result<Self> {
        let (rope, clapper) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        clapper.set_nonblocking(true)?;
        Ok(Self { rope, clapper })
    }

    pub(crate) fn notify(&self) {
        // Full, it rings already.
        let _ = (&self.rope).write(&[1]);
    }

    pub(crate) fn clear(&self) {
        while matches!((&self.clapper).read(&mut [0; 64]), Ok(1..)) {}
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.clapper.as_fd()
    }
}
