//! Name resolution on a separate thread, because getaddrinfo(3) blocks and cannot be interrupted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Maximum number of addresses of one name that a fetch tries.
const MAX_ADDRESSES: usize = 16;

/// Resolves `host` on a new thread, which then calls `notify`. If the caller stops waiting, the
/// thread continues until the resolver's own timeout.
///
/// # Errors
/// The system has no thread left.
pub(super) fn resolve(
    host: String,
    port: u16,
    notify: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<io::Result<Vec<SocketAddr>>>> {
    let (sender, receiver) = channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // The receiver is gone if the fetch ended before the resolver.
        let _ = sender.send(found.map(|addrs| addrs.take(MAX_ADDRESSES).collect()));
        notify();
    })?;
    Ok(receiver)
}
