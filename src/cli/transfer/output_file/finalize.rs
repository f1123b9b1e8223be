//! The last touch before a whole file goes to its place: who may read it, and that it is on the disk.

use std::fs::{self, File, Permissions};
use std::io;
use std::path::Path;

/// Gives a whole file the permissions of what it replaces, or else those of any new file, and has it on the disk.
pub(super) fn settle(file: &File, place: &Path) -> io::Result<()> {
    let old = fs::metadata(place).ok().map(|found| plain(&found.permissions()));
    if let Some(permissions) = old.or_else(new_files_permissions) {
        file.set_permissions(permissions)?;
    }
    file.sync_all()
}

/// Who may do what. That whoever runs a file does so as its owner was said of the old one.
#[cfg(unix)]
fn plain(permissions: &Permissions) -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    Permissions::from_mode(permissions.mode() & 0o777)
}

#[cfg(not(unix))]
fn plain(permissions: &Permissions) -> Permissions {
    permissions.clone()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn new_files_permissions() -> Option<Permissions> {
    use rustix::fs::Mode;
    use rustix::process::umask;
    // It can only be read by being set (umask(2)). No other thread makes a file meanwhile.
    let mask = umask(Mode::from_raw_mode(0o077));
    umask(mask);
    Some(std::os::unix::fs::PermissionsExt::from_mode(0o666 & !mask.as_raw_mode()))
}

#[cfg(not(unix))]
fn new_files_permissions() -> Option<Permissions> {
    None
}
