//! Files that only their owner may access.

use std::fs::{File, OpenOptions};
use std::io;

/// Returns true if the file's group or other users have any permission.
///
/// # Errors
/// The file's metadata cannot be read.
pub(in crate::cli) fn is_open_to_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;

    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Removes the permissions of the file's group and of other users.
///
/// # Errors
/// The mode cannot be read or changed.
pub(in crate::cli) fn close_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    file.set_permissions(PermissionsExt::from_mode(file.metadata()?.permissions().mode() & 0o700))
}

/// Gives a file that `options` create the mode 0600.
pub(in crate::cli) fn with_private_mode(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
