//! How many file descriptors there may be.

use std::io;

/// How many descriptors this process may have open, if the platform has such a limit.
#[cfg(unix)]
pub fn descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current
}

/// How many descriptors this process may have open, if the platform has such a limit.
#[cfg(not(unix))]
pub fn descriptor_limit() -> Option<u64> {
    None
}

/// Raises the soft limit on open descriptors to the hard one, as a program that serves many connections does once at its
/// start. The limit is the process's, so a library does not do it unasked.
///
/// # Errors
/// What the operating system said; the limit is then as it was.
#[cfg(unix)]
pub fn raise_descriptor_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // There "no limit" is refused, and this is as far as one may go (setrlimit(2), OPEN_MAX).
    #[cfg(target_os = "macos")]
    let maximum = Some(maximum.unwrap_or(u64::MAX).min(10_240));
    if current == maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Raises the soft limit on open descriptors to the hard one; this platform has no such limit.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn raise_descriptor_limit() -> io::Result<()> {
    Ok(())
}
