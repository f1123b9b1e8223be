//! Waiting until descriptors are ready: poll(2). An engine's loop uses `mio` instead.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Waits until one of `poll_fds` is ready, and returns the number of ready ones: 0 after `timeout`.
/// A signal does not end the wait. A timeout that the system cannot represent counts as none.
pub(crate) fn wait(poll_fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let until = timeout.and_then(|timeout| Some((timeout, Instant::now().checked_add(timeout)?)));
    let mut left = until.map(|(timeout, _)| timeout);
    loop {
        let timespec = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(poll_fds, timespec.as_ref()) {
            Err(Errno::INTR) => left = until.map(|(_, at)| at.saturating_duration_since(Instant::now())),
            polled => return Ok(polled?),
        }
    }
}
