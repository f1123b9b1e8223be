//! What differs between operating systems, each with a portable fallback. Nothing here is needed for correctness elsewhere:
//! a platform without an entry runs the fallback.

#[cfg(target_os = "linux")]
#[path = "batch_linux.rs"]
mod batch;
#[cfg(not(target_os = "linux"))]
#[path = "batch_portable.rs"]
mod batch;
#[cfg(target_os = "linux")]
#[path = "bell_linux.rs"]
mod bell;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "bell_portable.rs"]
mod bell;
pub(crate) mod bind;
mod cpu_time;
mod descriptors;
#[cfg(all(target_os = "linux", feature = "classic"))]
#[path = "exit_linux.rs"]
mod exit;
#[cfg(all(unix, not(target_os = "linux"), feature = "classic"))]
#[path = "exit_portable.rs"]
mod exit;
// Where it is not needed it is tested all the same.
#[cfg(all(test, target_os = "linux"))]
mod exit_portable;
#[cfg(unix)]
mod reopen;

#[cfg(unix)]
use rustix::net::SendFlags;

pub(crate) use batch::Batcher;
#[cfg(unix)]
pub(crate) use bell::Bell;
pub(crate) use cpu_time::burn;
#[cfg(all(unix, feature = "classic"))]
pub(crate) use exit::Exit;
#[cfg(unix)]
pub(crate) use reopen::Ready;

pub use descriptors::{descriptor_limit, raise_descriptor_limit};

/// Whether an accepted socket has its listener's `TCP_NODELAY` and `SO_KEEPALIVE`, which saves two calls for each connection.
/// Linux copies them (tcp(7): "inherited"); nobody else promises to.
pub(crate) const ACCEPTED_INHERIT_OPTIONS: bool = cfg!(target_os = "linux");

/// How a socket is written to that may be a blocking one: without waiting, and without a signal where its peer has gone.
#[cfg(target_os = "linux")]
pub(crate) const SEND_NOW: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
// Elsewhere the standard library's start has had the signal ignored.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) const SEND_NOW: SendFlags = SendFlags::DONTWAIT;
