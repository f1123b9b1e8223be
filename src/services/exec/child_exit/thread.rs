//! The implementation without `pidfd_open(2)`: a thread waits in waitid(2) and then closes its end
//! of a socket pair.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// A descriptor that is readable after the child has ended. Wait for the child only after that:
/// otherwise the thread could watch another process that received the same process id.
pub(crate) struct ChildExit(UnixStream);

impl ChildExit {
    /// Starts the thread. The child must not have been waited for.
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        let (watched, held) = UnixStream::pair()?;
        let pid = Pid::from_child(child);
        let watch = move || {
            // WNOWAIT leaves the child to be waited for by its parent's code.
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
    fn readable_only_after_the_child_has_ended() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let exit = ChildExit::of(&child).unwrap();
        assert!(!has_ended(&exit, Timespec { tv_sec: 0, tv_nsec: 0 }));
        child.stdin.as_mut().unwrap().write_all(b"still there").unwrap();
        assert!(!has_ended(&exit, Timespec { tv_sec: 0, tv_nsec: 0 }));
        child.stdin = None;
        assert!(has_ended(&exit, Timespec { tv_sec: 20, tv_nsec: 0 }));
        assert!(child.wait().unwrap().success(), "the child can still be waited for");
    }
}
