//! Name resolution on a separate thread, because getaddrinfo(3) blocks and cannot be interrupted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::net::Notifier;

/// Maximum number of addresses of one name that a fetch tries.
const MAX_ADDRESSES: usize = 16;

/// The resolution of one name. Its descriptor is readable when the result is there.
pub(super) struct Resolution {
    notifier: Arc<Notifier>,
    result: Receiver<io::Result<Vec<SocketAddr>>>,
}

impl Resolution {
    /// Resolves `host` on a new thread. If the caller stops waiting, the thread continues until the
    /// resolver's own timeout.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(super) fn start(host: String, port: u16) -> io::Result<Self> {
        let (sender, result) = channel();
        let notifier = Arc::new(Notifier::new()?);
        let resolved = Arc::clone(&notifier);
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            // The receiver is gone if the fetch ended before the resolver.
            let _ = sender.send(found.map(|addrs| addrs.take(MAX_ADDRESSES).collect()));
            resolved.notify();
        })?;
        Ok(Self { notifier, result })
    }

    /// Returns the addresses. Call this after the descriptor is readable; before, it blocks.
    ///
    /// # Errors
    /// The resolver's error.
    pub(super) fn into_result(self) -> io::Result<Vec<SocketAddr>> {
        self.result.recv().map_err(io::Error::other)?
    }
}

impl AsFd for Resolution {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifier.as_fd()
    }
}
