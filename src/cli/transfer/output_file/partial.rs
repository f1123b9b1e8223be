//! The partial file `NAME.HASH.part`, which stays between runs. This module does not read its
//! content.
//!
//! Invariants: the hash in its name is that of the download's source, so it is no other download's
//! and no other program's file. It is a regular file owned by this user, and only one process
//! writes to it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use switchboard::escape::hex;

use crate::cli::private_file::close_to_others;

/// The start of a long name that its partial file has, in bytes. With the hash it fits every file
/// system in use; the smallest limit is 143 bytes (eCryptfs).
const MAX_START_BYTES: usize = 64;

/// Bytes of the digest in a partial file's name.
const HASH_BYTES: usize = 8;

/// The file on a server that a download fetches.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct DownloadSource<'a> {
    /// The server's address as the user wrote it.
    pub(in crate::cli) server: &'a str,
    pub(in crate::cli) name: &'a str,
}

/// Opens, locks and returns the partial file for `path`, with its own path.
pub(super) fn open_locked(path: &Path, source: &DownloadSource<'_>) -> Result<(File, PathBuf), (io::Error, PathBuf)> {
    let name = path.file_name().unwrap_or_default();
    let mut partial = path.with_file_name(partial_name(name, name, source));
    let mut opened = open_partial(&partial);
    // The file system knows how long a name may be, in bytes or in characters.
    if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidFilename) {
        partial = path.with_file_name(partial_name(start_of(name), name, source));
        opened = open_partial(&partial);
    }
    match opened.and_then(|file| lock(file, &partial)) {
        Ok(file) => Ok((file, partial)),
        Err(error) => Err((error, partial)),
    }
}

/// Returns the name of the partial file for the file `name`: `start`, the hash of the source and of
/// `name`, and `.part`.
fn partial_name(start: &OsStr, name: &OsStr, source: &DownloadSource<'_>) -> OsString {
    let mut hasher = Sha256::new();
    for part in [source.server.as_bytes(), source.name.as_bytes(), name.as_bytes()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let hash = hex(digest.get(..HASH_BYTES).unwrap_or_default());
    let mut partial = start.to_owned();
    partial.push(format!(".{hash}.part"));
    partial
}

/// Returns at most `MAX_START_BYTES` bytes of a name, cut between two characters of UTF-8.
fn start_of(name: &OsStr) -> &OsStr {
    let bytes = name.as_bytes();
    let is_boundary = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let end = (0..=MAX_START_BYTES.min(bytes.len())).rev().find(is_boundary).unwrap_or(0);
    OsStr::from_bytes(bytes.get(..end).unwrap_or_default())
}

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
