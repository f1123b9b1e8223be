//! What tells that a child has ended, where there is no `pidfd_open(2)`: a thread in waitid(2) that holds one end of a pair of
//! sockets and lets go of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Readable once the child has ended, whether or not it has been waited for. Whoever waits for the child before that may have
/// the thread watch another of the same number.
pub(crate) struct ChildExit(UnixStream);

impl ChildExit {
    /// Of a child that has not been waited for.
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        let (watched, held) = UnixStream::pair()?;
        let pid = Pid::from_child(child);
        let watch = move || {
            // The child stays to be waited for by whoever started it.
            let until_exit = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), until_exit), Err(Errno::INTR)) {}
            drop(held);
        };
        thread::Builder::new().name("exit".into()).spawn(watch)?;
        Ok(Self(watched))
    }
}

impl AsFd for ChildExit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn has_ended(exit: &ChildExit, timeout: Timespec) -> bool {
        poll(&mut [PollFd::new(exit, PollFlags::IN)], Some(&timeout)).unwrap() == 1
    }

    #[test]
    fn it_is_readable_when_the_child_has_ended_and_not_before() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let exit = ChildExit::of(&child).unwrap();
        assert!(!has_ended(&exit, Timespec { tv_sec: 0, tv_nsec: 0 }));
        child.stdin.as_mut().unwrap().write_all(b"still there").unwrap();
        assert!(!has_ended(&exit, Timespec { tv_sec: 0, tv_nsec: 0 }));
        child.stdin = None;
        assert!(has_ended(&exit, Timespec { tv_sec: 20, tv_nsec: 0 }));
        assert!(child.wait().unwrap().success(), "it was left to be waited for");
    }
}
