//! What tells that a child has ended, to a thread that waits in poll(2): `pidfd_open(2)`, one descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Readable once the child has ended, whether or not it has been waited for.
pub(crate) struct ChildExit(OwnedFd);

impl ChildExit {
    /// Of a child that has not been waited for.
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        Ok(Self(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?))
    }
}

impl AsFd for ChildExit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
