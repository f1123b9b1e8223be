//! What a platform promises about sockets.

#[cfg(unix)]
use rustix::net::SendFlags;

/// Whether an accepted socket has its listener's `TCP_NODELAY` and `SO_KEEPALIVE`, which saves two calls for each connection.
/// Linux copies them (tcp(7): "inherited"); nobody else promises to.
pub(crate) const ACCEPTED_INHERIT_OPTIONS: bool = cfg!(target_os = "linux");

/// How a socket is written to that may be a blocking one: without waiting, and without a signal where its peer has gone.
#[cfg(target_os = "linux")]
pub(crate) const SEND_NOW: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
// Elsewhere the standard library's start has had the signal ignored.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) const SEND_NOW: SendFlags = SendFlags::DONTWAIT;
