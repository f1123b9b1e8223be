//! Who is to be connected when, and how many are being connected. Opens nothing itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::Duration;

/// Connections that may be under way at once: fewer than any server's backlog, so that none is dropped there and has to be tried
/// again a second later.
const MAX_PENDING: usize = 512;

/// How long after it broke a connection is opened again. A server that breaks all of them at once is not to be drowned.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How soon a full backlog is tried again.
pub(super) const BACKLOG_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Connections to be opened.
#[derive(Default)]
pub(super) struct ConnectQueue {
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// Being connected now.
    pub(super) pending: usize,
}

impl ConnectQueue {
    /// `line` is to be connected at `at_ns`.
    pub(super) fn config(&mut self, at_ns: u64, line: usize) {
        self.due.push(Reverse((at_ns, line)));
    }

    /// A line whose time has come, if one more may be connected.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<usize> {
        let Reverse((at_ns, _)) = self.due.peek()?;
        if self.pending >= MAX_PENDING || *at_ns > now_ns {
            return None;
        }
        self.due.pop().map(|Reverse((_, line))| line)
    }

    /// When the next is to be connected, if that waits for nothing but its time.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let Reverse((at_ns, _)) = self.due.peek()?;
        (self.pending < MAX_PENDING).then_some(*at_ns)
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }
}

/// What to do about an error that says that this machine has no more to give, whatever the server does.
pub(super) fn exhausted(error: &io::Error) -> Option<io::Error> {
    let advice = match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no local port left for this server: use fewer connections, or another address of the server, or \
             widen net.ipv4.ip_local_port_range; ports of closed connections are free again after a minute"
        }
        _ if is_out_of_descriptors(error) => {
            "there are no more descriptors: raise the limit (ulimit -n) or use fewer connections"
        }
        _ => return None,
    };
    Some(io::Error::new(error.kind(), format!("{advice} ({error})")))
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_error: &io::Error) -> bool {
    false
}
