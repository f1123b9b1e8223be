//! Opens a file by a name that a client sent. The directory's handle confines the name; this module
//! rejects invalid names and everything except regular files, because opening a FIFO or a device
//! has side effects.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Component, Path};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use log::Level;
use rustix::io::Errno;

use super::wire::{FilesError, FilesErrorCode, MAX_NAME_BYTES, too_long};
use crate::service::warning_limit::log_limited;

/// Opens a regular file for reading.
pub(super) fn open(root: &Dir, name: &Path) -> Result<(File, Metadata), FilesError> {
    check_name(name)?;
    if name.as_os_str().is_empty() {
        return Err(FilesError::new(FilesErrorCode::Refused, "an empty name is no file's"));
    }
    // Checked before opening: opening a FIFO wakes the process at its other end, and opening a
    // device may have any effect.
    let found = root.metadata(name).map_err(|error| client_error(&error))?;
    check_regular(found.is_file(), found.is_dir())?;
    let mut options = OpenOptions::new();
    // The file may have been replaced by a FIFO, and opening one would wait for its writer
    // (open(2)).
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = root.open_with(name, &options).map_err(|error| client_error(&error))?.into_std();
    let found = file.metadata().map_err(|error| client_error(&error))?;
    check_regular(found.is_file(), found.is_dir())?;
    Ok((file, found))
}

/// Rejects names that cannot be below the root. An empty name passes.
pub(super) fn check_name(name: &Path) -> Result<(), FilesError> {
    let bytes = name.as_os_str().as_encoded_bytes();
    if bytes.len() > MAX_NAME_BYTES {
        return Err(too_long(bytes.len()));
    }
    if bytes.contains(&0) {
        return Err(FilesError::new(FilesErrorCode::Refused, "no name holds a zero byte"));
    }
    for component in name.components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(FilesError::new(FilesErrorCode::Refused, "'..' leads nowhere here")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(FilesError::new(
                    FilesErrorCode::Refused,
                    "names are relative: leave out what is before the first of them",
                ));
            }
        }
    }
    Ok(())
}

/// Rejects everything except regular files.
fn check_regular(is_file: bool, is_dir: bool) -> Result<(), FilesError> {
    match (is_file, is_dir) {
        (true, _) => Ok(()),
        (_, true) => Err(FilesError::new(FilesErrorCode::Refused, "it is a directory")),
        _ => Err(FilesError::new(FilesErrorCode::Refused, "it is no regular file")),
    }
}

/// Converts a system error to the error that the client receives.
pub(super) fn client_error(error: &io::Error) -> FilesError {
    let (code, text) = match (Errno::from_io_error(error), error.kind()) {
        (Some(Errno::NAMETOOLONG), _) => (FilesErrorCode::NotFound, "no file has such a long name"),
        (Some(Errno::LOOP), _) => (FilesErrorCode::Refused, "its links lead nowhere"),
        (Some(Errno::NXIO), _) => (FilesErrorCode::Refused, "it is no regular file"),
        (Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM), _) => {
            (FilesErrorCode::Busy, "too much is open; ask again later")
        }
        (_, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            (FilesErrorCode::NotFound, "there is no such file")
        }
        // Errors of the system have a number. Without one, cap-std has rejected a name that leads
        // out of the root.
        (None, io::ErrorKind::PermissionDenied) => {
            (FilesErrorCode::Refused, "a link in it leads out of the directory that is served")
        }
        (_, io::ErrorKind::PermissionDenied) => (FilesErrorCode::Refused, "it may not be read"),
        (_, io::ErrorKind::InvalidInput) => (FilesErrorCode::Refused, "it is no name"),
        _ => {
            log_limited(Level::Warn, "files system errors", format_args!("files: {error}"));
            (FilesErrorCode::Failed, "it cannot be read")
        }
    };
    FilesError::new(code, text)
}
