//! Looking names up, off the loop: the system's resolver blocks, and nothing can interrupt it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Has a thread look `host` up and call `tell` when the answer is there. Whoever does not wait for it leaves the thread behind,
/// which ends with the resolver's own limit.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn resolve(
    host: String,
    port: u16,
    tell: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<io::Result<Vec<SocketAddr>>>> {
    let (sender, receiver) = channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // If nobody waits any more, nobody has to be told.
        let _ = sender.send(found.map(|addrs| addrs.take(MAX_ADDRESSES).collect()));
        tell();
    })?;
    Ok(receiver)
}
