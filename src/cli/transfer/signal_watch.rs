//! Signals during a transfer. The first SIGINT or SIGTERM ends the current wait, so that the
//! program can remove or keep its files; the second signal ends the process immediately.
//!
//! Each wait polls the file and a socket that the signal handler writes to. A signal that arrives
//! just before `poll` therefore also ends the wait.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::error::CliError;
use crate::cli::process;

/// The signals that ask the process to end, and a descriptor that reports them.
#[derive(Debug)]
pub(in crate::cli) struct SignalWatch {
    interrupt: process::Interrupt,
    /// Readable from the first signal on; never read.
    #[cfg(unix)]
    notifier: std::os::unix::net::UnixStream,
}

/// The readiness that a wait asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum WaitFor {
    Readable,
    Writable,
}

/// The event that ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum WaitResult {
    /// The file is ready, or has an error to report.
    Ready,
    /// A signal asked the process to end.
    Interrupted,
    /// The time limit expired.
    TimedOut,
}

impl SignalWatch {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// A handler or its socket pair cannot be created.
    #[cfg(unix)]
    pub(in crate::cli) fn start() -> Result<Self, CliError> {
        // Handlers run in the order of registration: the flag is set before the descriptor is
        // readable.
        let interrupt = process::Interrupt::watch()?;
        let notifier =
            register_notifier().map_err(|error| CliError::Failed(format!("cannot watch for signals: {error}")))?;
        Ok(Self { interrupt, notifier })
    }

    /// Does nothing: without Unix signals, Ctrl-C ends the process immediately.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(in crate::cli) fn start() -> Result<Self, CliError> {
        Ok(Self { interrupt: process::Interrupt::watch()? })
    }

    /// Returns 128 plus the signal's number, as a shell reports it; `None` before the first signal.
    pub(in crate::cli) fn exit_code(&self) -> Option<ExitCode> {
        self.interrupt.exit_code()
    }

    /// Waits until `file` is ready, a signal arrives, or `limit` expires.
    ///
    /// # Errors
    /// `poll` failed for this file.
    #[cfg(unix)]
    pub(in crate::cli) fn wait(
        &self,
        file: impl std::os::fd::AsFd,
        wait_for: WaitFor,
        limit: Option<Duration>,
    ) -> io::Result<WaitResult> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use std::time::Instant;

        let events = match wait_for {
            WaitFor::Readable => PollFlags::IN,
            WaitFor::Writable => PollFlags::OUT,
        };
        // A deadline that an `Instant` cannot represent counts as no limit.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
            let mut descriptors = [PollFd::new(&file, events), PollFd::new(&self.notifier, PollFlags::IN)];
            let polled = poll(&mut descriptors, rest.as_ref());
            if self.interrupt.is_raised() {
                return Ok(WaitResult::Interrupted);
            }
            match polled {
                Ok(0) => return Ok(WaitResult::TimedOut),
                Ok(_) => return Ok(WaitResult::Ready),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns `Ready` without waiting: the next read or write blocks, and Ctrl-C ends the process.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(in crate::cli) fn wait<F>(
        &self,
        _file: F,
        _wait_for: WaitFor,
        _limit: Option<Duration>,
    ) -> io::Result<WaitResult> {
        Ok(WaitResult::Ready)
    }
}

/// The descriptor for waits outside this module. It is readable from the first signal on; do not
/// read it.
#[cfg(unix)]
impl std::os::fd::AsFd for SignalWatch {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.notifier.as_fd()
    }
}

/// Creates a socket pair, lets each signal write to one end, and returns the other end.
#[cfg(unix)]
fn register_notifier() -> io::Result<std::os::unix::net::UnixStream> {
    use signal_hook::low_level::pipe;
    use std::os::unix::net::UnixStream;

    let (reader, writer) = UnixStream::pair()?;
    for signal in process::Interrupt::signals() {
        pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(reader)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn wait_ends_on_readiness_or_time_limit() {
        let signals = SignalWatch::start().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let wait = |wait_for| signals.wait(&theirs, wait_for, Some(Duration::from_millis(1))).unwrap();
        assert_eq!(wait(WaitFor::Readable), WaitResult::TimedOut);
        assert_eq!(wait(WaitFor::Writable), WaitResult::Ready);
        ours.write_all(b"x").unwrap();
        assert_eq!(wait(WaitFor::Readable), WaitResult::Ready);
        drop(ours);
        assert_eq!(signals.wait(&theirs, WaitFor::Readable, None).unwrap(), WaitResult::Ready);
        assert!(signals.exit_code().is_none());
    }
}
