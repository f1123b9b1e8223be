//! Name resolution on a separate thread, because getaddrinfo(3) blocks and cannot be interrupted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::notifier::Notifier;

/// Maximum number of addresses of one name.
const MAX_ADDRESSES: usize = 16;

/// The resolution of one name. Its descriptor is readable when the result is there.
pub(crate) struct Resolution {
    notifier: Arc<Notifier>,
    result: Receiver<io::Result<Vec<SocketAddr>>>,
}

impl Resolution {
    /// Resolves `host` on a new thread. If the caller stops waiting, the thread continues until the
    /// resolver's own timeout.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(crate) fn start(host: String, port: u16) -> io::Result<Self> {
        let (sender, result) = channel();
        let notifier = Arc::new(Notifier::new()?);
        let resolved = Arc::clone(&notifier);
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            // The receiver is gone if the caller ended before the resolver.
            let _ = sender.send(found.map(|addrs| addrs.take(MAX_ADDRESSES).collect()));
            resolved.notify();
        })?;
        Ok(Self { notifier, result })
    }

    /// Returns the addresses. Waits for them, at most for `timeout`.
    ///
    /// # Errors
    /// The resolver's error; `TimedOut` if it has no result within `timeout`.
    pub(crate) fn into_result(self, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
        self.result.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
            RecvTimeoutError::Disconnected => io::Error::other(error),
        })?
    }
}

impl AsFd for Resolution {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifier.as_fd()
    }
}
