//! From a name that a client sent to an open file. The directory's handle decides what lies beneath it; here is refused what no
//! client has reason to ask for, and what opening would do more to than open.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Component, Path};

use cap_std::fs::{Dir, OpenOptions};

use super::wire::{Code, Fault, MAX_NAME_BYTES, too_long};

/// Opens a regular file for reading.
pub(super) fn open(root: &Dir, name: &Path) -> Result<(File, Metadata), Fault> {
    check(name)?;
    if name.as_os_str().is_empty() {
        return Err(Fault::new(Code::Refused, "an empty name is no file's"));
    }
    // Asked before it is opened: to open a FIFO wakes who waits at its other end, and to open a device may do anything.
    let found = root.metadata(name).map_err(|error| fault(&error))?;
    regular(found.is_file(), found.is_dir())?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        // It may be a FIFO by now, and to open one waits for its writer (open(2)).
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = root.open_with(name, &options).map_err(|error| fault(&error))?.into_std();
    let found = file.metadata().map_err(|error| fault(&error))?;
    regular(found.is_file(), found.is_dir())?;
    Ok((file, found))
}

/// Whether a name could be one below the root. It may be empty.
pub(super) fn check(name: &Path) -> Result<(), Fault> {
    let bytes = name.as_os_str().as_encoded_bytes();
    if bytes.len() > MAX_NAME_BYTES {
        return Err(too_long(bytes.len()));
    }
    if bytes.contains(&0) {
        return Err(Fault::new(Code::Refused, "no name holds a zero byte"));
    }
    for component in name.components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(Fault::new(Code::Refused, "'..' leads nowhere here")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(Fault::new(
                    Code::Refused,
                    "names are relative: leave out what is before the first of them",
                ));
            }
        }
    }
    Ok(())
}

fn regular(is_file: bool, is_dir: bool) -> Result<(), Fault> {
    match (is_file, is_dir) {
        (true, _) => Ok(()),
        (_, true) => Err(Fault::new(Code::Refused, "it is a directory")),
        _ => Err(Fault::new(Code::Refused, "it is no regular file")),
    }
}

/// What the system said, as far as a client needs to know.
pub(super) fn fault(error: &io::Error) -> Fault {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let code = match Errno::from_io_error(error) {
            Some(Errno::NAMETOOLONG) => Some((Code::NotFound, "no file has such a long name")),
            Some(Errno::LOOP) => Some((Code::Refused, "its links lead nowhere")),
            Some(Errno::NXIO) => Some((Code::Refused, "it is no regular file")),
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Some((Code::Busy, "too much is open; ask again later")),
            _ => None,
        };
        if let Some((code, text)) = code {
            return Fault::new(code, text);
        }
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::new(Code::NotFound, "there is no such file"),
        // The system's own refusals have a number. This one is made by who opens names beneath the root.
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            Fault::new(Code::Refused, "a link in it leads out of the directory that is served")
        }
        io::ErrorKind::PermissionDenied => Fault::new(Code::Refused, "it may not be read"),
        io::ErrorKind::InvalidInput => Fault::new(Code::Refused, "it is no name"),
        _ => {
            log::warn!("files: {error}");
            Fault::new(Code::Failed, "it cannot be read")
        }
    }
}
