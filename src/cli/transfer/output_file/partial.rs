//! The partial file `NAME.part`, which stays between runs. This module does not read its content.
//!
//! Invariant: it is a regular file owned by this user, and only one process writes to it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::cli::private_file::close_to_others;

/// Opens or creates a partial file. Refuses links, special files and other users' files, because
/// another user could then insert bytes into the download.
pub(super) fn open_partial(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    use rustix::fs::OFlags;

    let denied = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    // O_NONBLOCK: opening a FIFO must not wait for its other end (fifo(7)).
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).create(true).mode(0o600).custom_flags(flags).open(path);
    let file = match file {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return denied("it is a symbolic link");
        }
        other => other?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return denied("it is not a regular file");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return denied("it belongs to another user");
    }
    Ok(file)
}

/// Returns true if `path` still names the open file.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata(), fs::symlink_metadata(path));
    open.is_ok_and(|open| named.is_ok_and(|named| (open.dev(), open.ino()) == (named.dev(), named.ino())))
}

/// Locks a partial file for this process and makes it private.
pub(super) fn lock(file: File, path: &Path) -> io::Result<File> {
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing to it");
    match file.try_lock() {
        // The previous lock holder has renamed the file to its final path; it must not change any
        // more.
        Ok(()) if !is_at(&file, path) => Err(busy()),
        // Change the mode only while holding the lock: earlier, the file may belong to another run.
        Ok(()) => close_to_others(&file).map(|()| file),
        Err(fs::TryLockError::WouldBlock) => Err(busy()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}
