//! The wait for one descriptor, with its limits: a deadline, a time without progress, and a cancel
//! from outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::net;

/// A way to cancel a wait from outside, for example from a signal handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct CancelToken<'a> {
    readable: Option<BorrowedFd<'a>>,
}

impl<'a> CancelToken<'a> {
    /// Returns a token that never cancels.
    pub fn never() -> Self {
        Self::default()
    }

    /// Returns a token that cancels when `readable` becomes readable, for example the read end of a
    /// signal handler's pipe. No wait reads from it.
    pub fn when_readable(readable: BorrowedFd<'a>) -> Self {
        Self { readable: Some(readable) }
    }
}

/// The limits of a wait. The default has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitLimits<'a> {
    /// The time after which each wait fails.
    pub deadline: Option<Instant>,
    /// The longest time of one wait.
    pub stall_timeout: Option<Duration>,
    /// The cancel from outside.
    pub cancel: CancelToken<'a>,
}

/// The readiness that a wait asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A read would not wait.
    Readable,
    /// A write would not wait.
    Writable,
    /// One of the two.
    Either,
}

/// The event that ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// The descriptor is ready, or has an error to report.
    Ready,
    /// Nothing happened for [`WaitLimits::stall_timeout`].
    Stalled,
    /// [`WaitLimits::deadline`] has passed.
    DeadlinePassed,
    /// The [`CancelToken`] cancelled the wait.
    Cancelled,
}

impl WaitLimits<'_> {
    /// Returns a deadline after `timeout`, without other limits. A time that an [`Instant`] cannot
    /// represent counts as no limit.
    pub fn within(timeout: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(timeout), ..Self::default() }
    }

    /// Returns limits that allow no wait: a call fails with `Stalled` instead.
    pub fn no_wait() -> Self {
        Self::default().with_stall_timeout(Some(Duration::ZERO))
    }

    /// Returns these limits with a longest time of one wait; `None` for no limit.
    #[must_use]
    pub fn with_stall_timeout(self, stall_timeout: Option<Duration>) -> Self {
        Self { stall_timeout, ..self }
    }

    /// Waits until `file` is ready, or a limit ends the wait. A cancel comes first, then the
    /// deadline, also if `file` is ready.
    ///
    /// # Errors
    /// The error of poll(2).
    pub fn wait(&self, file: &impl AsFd, wait_for: WaitFor) -> io::Result<WaitResult> {
        let events = match wait_for {
            WaitFor::Readable => PollFlags::IN,
            WaitFor::Writable => PollFlags::OUT,
            WaitFor::Either => PollFlags::IN | PollFlags::OUT,
        };
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = [left, self.stall_timeout].into_iter().flatten().min();
        let mut poll_fds = vec![PollFd::new(file, events)];
        poll_fds.extend(self.cancel.readable.map(|readable| PollFd::from_borrowed_fd(readable, PollFlags::IN)));
        let ready = net::wait(&mut poll_fds, timeout)?;
        let is_cancelled = poll_fds.get(1).is_some_and(|cancel| !cancel.revents().is_empty());
        Ok(match ready {
            _ if is_cancelled => WaitResult::Cancelled,
            _ if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) => WaitResult::DeadlinePassed,
            0 => WaitResult::Stalled,
            _ => WaitResult::Ready,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn wait_ends_with_readiness_or_a_limit() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let stall = WaitLimits::default().with_stall_timeout(Some(Duration::from_millis(1)));
        assert_eq!(stall.wait(&theirs, WaitFor::Readable).unwrap(), WaitResult::Stalled);
        assert_eq!(stall.wait(&theirs, WaitFor::Writable).unwrap(), WaitResult::Ready);
        assert_eq!(stall.wait(&theirs, WaitFor::Either).unwrap(), WaitResult::Ready);
        let short = WaitLimits::within(Duration::from_millis(1));
        assert_eq!(short.wait(&theirs, WaitFor::Readable).unwrap(), WaitResult::DeadlinePassed);
        ours.write_all(b"x").unwrap();
        let none = WaitLimits::within(Duration::MAX);
        assert_eq!(none.wait(&theirs, WaitFor::Readable).unwrap(), WaitResult::Ready);
        assert_eq!(short.wait(&theirs, WaitFor::Readable).unwrap(), WaitResult::DeadlinePassed, "although readable");
        let (mut cancel, cancelled) = UnixStream::pair().unwrap();
        let limits = WaitLimits { cancel: CancelToken::when_readable(cancelled.as_fd()), ..short };
        cancel.write_all(b"x").unwrap();
        assert_eq!(limits.wait(&theirs, WaitFor::Readable).unwrap(), WaitResult::Cancelled);
    }
}
