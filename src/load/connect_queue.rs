//! The queue of connections to open: when each is due, and how many connects are pending. Opens no
//! socket itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

/// Connects that may be pending at the same time. This is below the backlog of common servers: a
/// SYN dropped by a full backlog is retransmitted only after a second.
const MAX_PENDING: usize = 512;

/// Delay before a broken connection is opened again. Without it, a server that closes all
/// connections at the same time would receive all connects at the same time.
pub(super) const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Delay before a connect that met a full backlog is retried.
pub(super) const BACKLOG_RETRY_DELAY: Duration = Duration::from_millis(1);

/// Connections to open, ordered by time.
#[derive(Default)]
pub(super) struct ConnectQueue {
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// Connects that have begun and not ended.
    pub(super) pending: usize,
}

impl ConnectQueue {
    /// Schedules a connect of the planned connection `index` at `at_ns`.
    pub(super) fn schedule(&mut self, at_ns: u64, index: usize) {
        self.due.push(Reverse((at_ns, index)));
    }

    /// Takes a connection that is due, if the limit of pending connects allows one more.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<usize> {
        let Reverse((at_ns, _)) = self.due.peek()?;
        if self.pending >= MAX_PENDING || *at_ns > now_ns {
            return None;
        }
        self.due.pop().map(|Reverse((_, index))| index)
    }

    /// Returns the time of the next connect; `None` if the queue is empty or the limit of pending
    /// connects is reached.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let Reverse((at_ns, _)) = self.due.peek()?;
        (self.pending < MAX_PENDING).then_some(*at_ns)
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }
}

/// Returns `error` with advice if it reports a limit of this machine (local ports, descriptors), so
/// that the server is not charged for it.
pub(super) fn local_limit_error(error: &io::Error) -> Option<io::Error> {
    let advice = match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no local port left for this server: use fewer connections or another address of the \
             server, or widen net.ipv4.ip_local_port_range; the port of a closed connection is free after a minute"
        }
        _ if is_out_of_descriptors(error) => {
            "no file descriptor is left: raise the limit (ulimit -n) or use fewer connections"
        }
        _ => return None,
    };
    Some(io::Error::new(error.kind(), format!("{advice} ({error})")))
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
