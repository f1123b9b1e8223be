//! The last step before a complete file is renamed to its path: its mode, and `fsync`.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;

/// Gives a file the mode of the one it replaces, else the mode of a new file, and syncs it to disk.
pub(super) fn copy_mode_and_sync(file: &File, path: &Path) -> io::Result<()> {
    let previous = fs::metadata(path).ok().map(|metadata| without_special_bits(&metadata.permissions()));
    file.set_permissions(previous.unwrap_or_else(new_file_permissions))?;
    file.sync_all()
}

/// Drops the set-user-ID, set-group-ID and sticky bits: they were granted to the previous content.
fn without_special_bits(permissions: &Permissions) -> Permissions {
    Permissions::from_mode(permissions.mode() & 0o777)
}

#[allow(clippy::useless_conversion, reason = "a mode has 16 bits on FreeBSD")]
fn new_file_permissions() -> Permissions {
    // umask(2) returns the mask only when setting it. No other thread creates a file meanwhile.
    let mask = umask(Mode::from_raw_mode(0o077));
    umask(mask);
    Permissions::from_mode(0o666 & !u32::from(mask.as_raw_mode()))
}
