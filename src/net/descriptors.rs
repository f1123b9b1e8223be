//! The process's limit on open file descriptors.

use std::io;

/// Returns the number of descriptors that this process may have open (the soft `RLIMIT_NOFILE`);
/// `None` if unlimited.
pub fn descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current
}

/// Raises the soft limit on open descriptors to the hard limit. A server for many connections calls
/// this once, at its start. The limit belongs to the whole process, so the library never raises it
/// on its own.
///
/// # Errors
/// The error of setrlimit(2); the limit is then unchanged.
pub fn raise_descriptor_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // macOS rejects "unlimited"; OPEN_MAX is the highest value that it accepts (setrlimit(2)).
    #[cfg(target_os = "macos")]
    let maximum = Some(maximum.unwrap_or(u64::MAX).min(10_240));
    if current == maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
