//! Signals during a transfer: the first SIGINT or SIGTERM ends the wait that is under way, so that files are tidied up; the second
//! ends the process at once.
//!
//! A wait is for a descriptor and for the handler's pipe, so a signal that comes just before it is not missed either.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::measure;

/// Whether the process has been told to end.
#[derive(Debug)]
pub(in crate::cli) struct Interrupt {
    told: measure::Interrupt,
    /// Readable from the first signal on.
    #[cfg(unix)]
    bell: std::os::unix::net::UnixStream,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Waiting {
    ToRead,
    ToWrite,
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Waited {
    /// What was waited for will not block, or has failed.
    Ready,
    /// The process has been told to end.
    Interrupted,
    /// Nothing has happened for so long.
    TimedOut,
}

impl Interrupt {
    /// Notices signals from now on.
    ///
    /// # Errors
    /// When a handler or its pipe cannot be had.
    #[cfg(unix)]
    pub(in crate::cli) fn watch() -> Result<Self, Failure> {
        // Its handlers come first, so that the signal's number is there when the bell rings.
        let told = measure::Interrupt::watch()?;
        let bell = hang_bell().map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))?;
        Ok(Self { told, bell })
    }

    /// Other platforms have no signals of this kind: Ctrl-C ends the process at once.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(in crate::cli) fn watch() -> Result<Self, Failure> {
        Ok(Self { told: measure::Interrupt::watch()? })
    }

    /// The exit code of a process that was told to end, as a shell reports one that a signal has ended; nothing if it was not.
    pub(in crate::cli) fn exit_code(&self) -> Option<ExitCode> {
        self.told.exit_code()
    }

    /// Waits until `file` can be read or written without blocking, for at most `limit`.
    ///
    /// # Errors
    /// When the system cannot wait for such a file.
    #[cfg(unix)]
    pub(in crate::cli) fn wait(
        &self,
        file: impl std::os::fd::AsFd,
        waiting: Waiting,
        limit: Option<Duration>,
    ) -> io::Result<Waited> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use std::time::Instant;

        let wanted = match waiting {
            Waiting::ToRead => PollFlags::IN,
            Waiting::ToWrite => PollFlags::OUT,
        };
        // So far away that nobody lives to see it is no limit.
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let rest = end.map(|end| end.saturating_duration_since(Instant::now()));
            let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
            let mut watched = [PollFd::new(&file, wanted), PollFd::new(&self.bell, PollFlags::IN)];
            let polled = poll(&mut watched, rest.as_ref());
            if self.told.is_raised() {
                return Ok(Waited::Interrupted);
            }
            match polled {
                Ok(0) => return Ok(Waited::TimedOut),
                Ok(_) => return Ok(Waited::Ready),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does not wait: what follows blocks, and Ctrl-C ends the process.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(in crate::cli) fn wait<F>(&self, _file: F, _waiting: Waiting, _limit: Option<Duration>) -> io::Result<Waited> {
        Ok(Waited::Ready)
    }
}

/// What a wait of another kind watches: readable from the first signal on, and never read.
#[cfg(unix)]
impl std::os::fd::AsFd for Interrupt {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(unix)]
fn hang_bell() -> io::Result<std::os::unix::net::UnixStream> {
    use signal_hook::low_level::pipe;
    use std::os::unix::net::UnixStream;

    let (bell, rope) = UnixStream::pair()?;
    for signal in measure::Interrupt::signals() {
        pipe::register(signal, rope.try_clone()?)?;
    }
    Ok(bell)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_wait_ends_with_what_it_waits_for_or_with_its_limit() {
        let interrupt = Interrupt::watch().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let wait = |waiting| interrupt.wait(&theirs, waiting, Some(Duration::from_millis(1))).unwrap();
        assert_eq!(wait(Waiting::ToRead), Waited::TimedOut);
        assert_eq!(wait(Waiting::ToWrite), Waited::Ready);
        ours.write_all(b"x").unwrap();
        assert_eq!(wait(Waiting::ToRead), Waited::Ready);
        drop(ours);
        assert_eq!(interrupt.wait(&theirs, Waiting::ToRead, None).unwrap(), Waited::Ready);
        assert!(interrupt.exit_code().is_none());
    }
}
