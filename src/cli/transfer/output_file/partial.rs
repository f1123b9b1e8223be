//! The file beside a place that stays from run to run. It must not know what is in it.
//!
//! Its invariant: it is a regular file of the user's own, and one process alone writes to it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// A partial file is the user's own and nobody else's: whoever else could write to it could put words into the download.
#[cfg(unix)]
pub(super) fn open_partial(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    use rustix::fs::OFlags;

    let denied = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    // O_NONBLOCK: to open a FIFO must not wait for its reader (open(2)).
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).create(true).mode(0o600).custom_flags(flags).open(path);
    let file = match file {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return denied("it is a symbolic link");
        }
        other => other?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return denied("it is no regular file");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return denied("it is somebody else's");
    }
    Ok(file)
}

#[cfg(not(unix))]
pub(super) fn open_partial(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether this is the file of that name.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (own, there) = (file.metadata(), fs::symlink_metadata(path));
    own.is_ok_and(|own| there.is_ok_and(|there| (own.dev(), own.ino()) == (there.dev(), there.ino())))
}

#[cfg(not(unix))]
pub(super) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// For the user alone.
#[cfg(unix)]
fn make_private(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn make_private(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Has a partial file for this process alone.
pub(super) fn lock(file: File, path: &Path) -> io::Result<File> {
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another program writes to it");
    match file.try_lock() {
        // Whoever held the lock until now may have put the file at its place, and there it is not to be touched.
        Ok(()) if !is_at(&file, path) => Err(busy()),
        // Only now: until then it may have been another's, on its way to its place.
        Ok(()) => make_private(&file).map(|()| file),
        Err(fs::TryLockError::WouldBlock) => Err(busy()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}
