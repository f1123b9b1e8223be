//! Socket behaviour that differs between platforms.

use rustix::net::SendFlags;

/// True if an accepted socket inherits `TCP_NODELAY` and `SO_KEEPALIVE` from its listener, which
/// saves two system calls per connection. Linux copies them (tcp(7)); other systems do not document
/// it.
pub(crate) const ACCEPTED_INHERIT_OPTIONS: bool = cfg!(target_os = "linux");

/// Flags for sending on a socket that may be in blocking mode: the call does not block, and it
/// raises no `SIGPIPE` after the peer has closed.
#[cfg(target_os = "linux")]
pub(crate) const SEND_NOW: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
// On other systems `SIGPIPE` is already ignored: the standard library's start-up code does that.
#[cfg(not(target_os = "linux"))]
pub(crate) const SEND_NOW: SendFlags = SendFlags::DONTWAIT;
