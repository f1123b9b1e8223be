//! The implementation on Linux: `pidfd_open(2)`, one descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A descriptor that is readable after the child has ended, before or after a wait for it.
pub(crate) struct ChildExit(OwnedFd);

impl ChildExit {
    /// Opens the descriptor. The child must not have been waited for.
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        Ok(Self(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?))
    }
}

impl AsFd for ChildExit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
