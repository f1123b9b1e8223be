//! The kind of file that an output path names.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// An output path after symbolic links are resolved.
pub(super) enum Destination {
    /// A device or pipe. It is written to directly: `/dev/null` must not be replaced by a file.
    Stream(File),
    /// The path of a regular file, or of a new one.
    File(PathBuf),
}

impl Destination {
    /// Finds out what `path` names, and opens it if it is a device or pipe.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")),
            // The link stays; the file that it points to is replaced.
            Ok(metadata) if metadata.is_file() && path.is_symlink() => fs::canonicalize(path).map(Self::File),
            Ok(metadata) if metadata.is_file() => Ok(Self::File(path.to_owned())),
            Ok(_) => OpenOptions::new().write(true).open(path).map(Self::Stream),
            Err(error) if error.kind() != io::ErrorKind::NotFound || path.file_name().is_none() => Err(error),
            // Fail before the download starts, not at the final rename.
            Err(_) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Err(io::Error::new(io::ErrorKind::IsADirectory, "the directory does not exist"))
            }
            Err(_) => Ok(Self::File(path.to_owned())),
        }
    }
}
