//! The output of a download: standard output, or a file that appears at its path when complete.
//!
//! Invariants: the path holds either the previous file or the complete new one. Bytes written to a
//! terminal cannot control it.

mod destination;
mod finalize;
mod partial;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use switchboard::client::{WaitFor, WaitLimits, WaitResult};
use tempfile::NamedTempFile;

use crate::cli::process::Interrupt;
use crate::cli::terminal::sanitize::StreamSanitizer;
use destination::Destination;
use finalize::copy_mode_and_sync;
pub(in crate::cli) use partial::DownloadSource;
use partial::open_locked;

/// Bytes that a pipe takes without blocking once `poll` reports it writable (pipe(7), `PIPE_BUF`).
const PIPE_BYTES: usize = 4096;

/// The output of a download, with the bytes written so far.
#[derive(Debug)]
pub(in crate::cli) enum OutputFile {
    /// Standard output, or a device or pipe named by the user. Written bytes cannot be taken back.
    Stream {
        stream: File,
        /// Bytes that one write takes without blocking after `poll` reported it writable.
        max_write_bytes: usize,
        /// Escapes control characters; `None` unless standard output is a terminal.
        sanitizer: Option<StreamSanitizer>,
    },
    /// A file that is deleted unless the download completes.
    Temporary {
        /// The open file, in the directory of `path`.
        file: NamedTempFile,
        path: PathBuf,
    },
    /// A file that stays if the download fails, so that a later run can resume it.
    Resumable {
        /// The open file, locked.
        file: File,
        /// The file's current path, beside `path`.
        partial: PathBuf,
        path: PathBuf,
    },
}

/// The reason why an output file cannot be written.
#[derive(Debug)]
pub(in crate::cli) struct OutputError {
    /// The path that failed: the final path, or the partial file beside it.
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) error: io::Error,
}

impl OutputFile {
    /// Opens standard output.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(in crate::cli) fn stdout() -> io::Result<Self> {
        Self::from_stdout(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    fn from_stdout(stream: File) -> io::Result<Self> {
        let sanitizer = stream.is_terminal().then(StreamSanitizer::default);
        Self::stream(stream, sanitizer)
    }

    fn stream(stream: File, sanitizer: Option<StreamSanitizer>) -> io::Result<Self> {
        let max_write_bytes = if stream.metadata()?.is_file() { usize::MAX } else { PIPE_BYTES };
        Ok(Self::Stream { stream, max_write_bytes, sanitizer })
    }

    /// Creates a temporary file beside `path`, under a random name. It is deleted unless the
    /// download completes.
    ///
    /// # Errors
    /// The file cannot be created there, or `path` is a directory.
    pub(in crate::cli) fn temporary(path: &Path) -> Result<Self, OutputError> {
        Self::open(path, |path| match NamedTempFile::new_in(directory_of(&path)) {
            Ok(file) => Ok(Self::Temporary { file, path }),
            Err(error) => Err(OutputError { error: without_path(&error), path }),
        })
    }

    /// Opens the partial file of this source beside `path`, which stays if the download fails.
    /// Keeps the bytes of an earlier run: see [`len`](Self::len).
    ///
    /// # Errors
    /// The file cannot be created there, or `path` is a directory. `PermissionDenied`: the partial
    /// file is not a regular file of this user. `ResourceBusy`: another process is writing to it.
    pub(in crate::cli) fn resumable(path: &Path, source: &DownloadSource<'_>) -> Result<Self, OutputError> {
        Self::open(path, |path| match open_locked(&path, source) {
            Ok((file, partial)) => Ok(Self::Resumable { file, partial, path }),
            Err((error, path)) => Err(OutputError { path, error }),
        })
    }

    /// Opens a device or pipe as a stream, and a regular or new file with `open_file`.
    fn open(path: &Path, open_file: impl FnOnce(PathBuf) -> Result<Self, OutputError>) -> Result<Self, OutputError> {
        let output_error = |error| OutputError { path: path.to_owned(), error };
        match Destination::open(path).map_err(output_error)? {
            Destination::Stream(stream) => Self::stream(stream, None).map_err(output_error),
            Destination::File(path) => open_file(path),
        }
    }

    /// Returns the file; `None` for a stream.
    fn file(&self) -> Option<&File> {
        match self {
            Self::Stream { .. } => None,
            // Not `NamedTempFile` itself: its errors contain the random file name.
            Self::Temporary { file, .. } => Some(file.as_file()),
            Self::Resumable { file, .. } => Some(file),
        }
    }

    /// Returns true if the bytes go to a terminal, where a progress bar would overwrite them.
    pub(in crate::cli) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stream { sanitizer: Some(_), .. })
    }

    /// Returns the file's final path; `None` for a stream.
    pub(in crate::cli) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stream { .. } => None,
            Self::Temporary { path, .. } | Self::Resumable { path, .. } => Some(path),
        }
    }

    /// Returns the path of the file that a later run can resume, if the output is resumable.
    pub(in crate::cli) fn partial_path(&self) -> Option<&Path> {
        match self {
            Self::Stream { .. } | Self::Temporary { .. } => None,
            Self::Resumable { partial, .. } => Some(partial),
        }
    }

    /// Returns the bytes in the file, from this run and earlier ones; 0 for a stream.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub(in crate::cli) fn len(&self) -> io::Result<u64> {
        self.file().map_or(Ok(0), |file| Ok(file.metadata()?.len()))
    }

    /// Reads the existing bytes in pieces and hands each to `consume`. Later writes append.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(in crate::cli) fn read_existing(&self, mut consume: impl FnMut(&[u8])) -> io::Result<()> {
        let Some(mut file) = self.file() else { return Ok(()) };
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) => consume(buffer.get(..bytes).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Truncates the file; the next write starts at offset 0.
    ///
    /// # Errors
    /// The file cannot be truncated. `Unsupported`: a stream, whose bytes are already delivered.
    pub(in crate::cli) fn restart(&self) -> io::Result<()> {
        let mut file = self.file().ok_or(io::ErrorKind::Unsupported)?;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Appends `bytes`. Waits while a stream is not writable; a signal ends the wait.
    ///
    /// # Errors
    /// The bytes cannot be written.
    pub(in crate::cli) fn write_all(&mut self, bytes: &[u8], interrupt: &Interrupt) -> io::Result<ControlFlow<()>> {
        match self {
            Self::Temporary { file, .. } => file.as_file_mut().write_all(bytes)?,
            Self::Resumable { file, .. } => file.write_all(bytes)?,
            Self::Stream { stream, max_write_bytes, sanitizer } => {
                let escaped = sanitizer.as_mut().map(|sanitizer| sanitizer.show(bytes));
                let bytes = escaped.as_deref().map_or(bytes, str::as_bytes);
                return write_stream(stream, *max_write_bytes, bytes, interrupt);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Completes the output: syncs the file, gives it the mode of the previous file, and renames it
    /// to its path. If `no_clobber`, it does not replace an existing file.
    ///
    /// # Errors
    /// `AlreadyExists`: a file exists at the path, and `no_clobber`. Other errors are the system's;
    /// the path still holds the previous file.
    pub(in crate::cli) fn finish(self, no_clobber: bool) -> io::Result<()> {
        if let (Some(file), Some(path)) = (self.file(), self.path()) {
            copy_mode_and_sync(file, path)?;
        }
        match self {
            Self::Stream { mut stream, sanitizer, .. } => {
                // The escaper may hold the first bytes of an incomplete UTF-8 character.
                stream.write_all(sanitizer.map(|mut sanitizer| sanitizer.finish()).unwrap_or_default().as_bytes())
            }
            Self::Temporary { file, path } => {
                let persisted = if no_clobber { file.persist_noclobber(path) } else { file.persist(path) };
                persisted.map(drop).map_err(|error| error.error)
            }
            Self::Resumable { file: _file, partial, path } if no_clobber => {
                // A hard link fails if the new name exists; a rename would replace it (link(2)).
                fs::hard_link(&partial, path)?;
                fs::remove_file(partial)
            }
            // The file stays open, and locked, until it has its new name.
            Self::Resumable { file: _file, partial, path } => fs::rename(partial, path),
        }
    }

    /// Deletes an incomplete file that cannot be resumed. Does nothing for a stream.
    pub(in crate::cli) fn discard(self) {
        if let Self::Resumable { partial, .. } = self {
            // If this fails, the next run finds the file and reports the error.
            let _ = fs::remove_file(partial);
        }
    }
}

/// Writes `bytes` in pieces of at most `max_write_bytes`, each after `poll` reported the stream
/// writable.
fn write_stream(
    stream: &mut File,
    max_write_bytes: usize,
    bytes: &[u8],
    interrupt: &Interrupt,
) -> io::Result<ControlFlow<()>> {
    let limits = WaitLimits { cancel: interrupt.cancel_token(), ..WaitLimits::default() };
    for piece in bytes.chunks(max_write_bytes) {
        if limits.wait(stream, WaitFor::Writable)? == WaitResult::Cancelled {
            return Ok(ControlFlow::Break(()));
        }
        stream.write_all(piece)?;
    }
    Ok(ControlFlow::Continue(()))
}

/// Removes the temporary file's random path from an error text. `tempfile` appends it and keeps the
/// original error private.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    io::Error::new(error.kind(), text.split_once(" at path ").map_or(text.as_str(), |(cause, _)| cause))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
