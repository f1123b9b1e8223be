//! Where a download goes: standard output, or a file that appears at its place when it is whole.
//!
//! Its invariant: at the file's place stands what was there before, or the whole new file, and nothing in between; and nothing that
//! is written to a terminal commands it.

mod finalize;
mod partial;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::screen::Screen;
use crate::cli::transfer::signal_watch::{Interrupt, Waited, Waiting};
use finalize::settle;
use partial::{lock, open_partial};

/// As much as a pipe takes without blocking when it says that it takes anything (pipe(7), `PIPE_BUF`).
const PIPE_BYTES: usize = 4096;

/// A download's place, and what has come of it so far.
#[derive(Debug)]
pub(in crate::cli) enum Target {
    /// A stream: standard output, or a device or pipe that was named. What has been written cannot be taken back.
    Stream {
        /// It.
        stream: File,
        /// Bytes that it surely takes at once where a wait says that it takes any.
        most: usize,
        /// Where it is a terminal, and not one that was named as a device.
        screen: Option<Screen>,
    },
    /// A file that goes with the program if it does not become whole.
    Fleeting {
        /// It, beside its place.
        file: NamedTempFile,
        /// Its place.
        place: PathBuf,
    },
    /// A file that stays, so that another run can go on with it.
    Kept {
        /// It, beside its place, locked.
        file: File,
        /// Its name: the place's and `.part`.
        partial: PathBuf,
        /// Its place.
        place: PathBuf,
    },
}

/// Why a download cannot go where it should.
#[derive(Debug)]
pub(in crate::cli) struct Obstacle {
    /// The file that is in the way, or cannot be made: the place, or what is beside it.
    pub(in crate::cli) file: PathBuf,
    /// What is wrong with it.
    pub(in crate::cli) error: io::Error,
}

impl Target {
    /// Standard output.
    ///
    /// # Errors
    /// When it is closed.
    #[cfg(unix)]
    pub(in crate::cli) fn stdout() -> io::Result<Self> {
        use std::os::fd::AsFd;
        Self::to_stdout(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    /// Standard output.
    ///
    /// # Errors
    /// When it is closed.
    #[cfg(windows)]
    pub(in crate::cli) fn stdout() -> io::Result<Self> {
        use std::os::windows::io::AsHandle;
        Self::to_stdout(io::stdout().as_handle().try_clone_to_owned()?.into())
    }

    fn to_stdout(stream: File) -> io::Result<Self> {
        let screen = stream.is_terminal().then(Screen::default);
        Self::stream(stream, screen)
    }

    fn stream(stream: File, screen: Option<Screen>) -> io::Result<Self> {
        let most = if stream.metadata()?.is_file() { usize::MAX } else { PIPE_BYTES };
        Ok(Self::Stream { stream, most, screen })
    }

    /// A file at `place`, written beside it under a name that nobody knows, and gone if it does not become whole.
    ///
    /// # Errors
    /// When it cannot be made there, or when a directory is there.
    pub(in crate::cli) fn fleeting(place: &Path) -> Result<Self, Obstacle> {
        let at_place = |error| Obstacle { file: place.to_owned(), error };
        let place = match Place::find(place).map_err(at_place)? {
            Place::Stream(stream) => return Self::stream(stream, None).map_err(at_place),
            Place::File(place) => place,
        };
        match NamedTempFile::new_in(folder(&place)) {
            Ok(file) => Ok(Self::Fleeting { file, place }),
            Err(error) => Err(Obstacle { error: without_path(&error), file: place }),
        }
    }

    /// A file at `place`, written beside it as `NAME.part`, which stays if it does not become whole. What another run has left
    /// of it is kept: see [`len`](Self::len).
    ///
    /// # Errors
    /// When it cannot be made there, or when a directory is there; `PermissionDenied` where `NAME.part` is no file of the
    /// user's own, and `ResourceBusy` where another process writes to it.
    pub(in crate::cli) fn kept(place: &Path) -> Result<Self, Obstacle> {
        let at_place = |error| Obstacle { file: place.to_owned(), error };
        let place = match Place::find(place).map_err(at_place)? {
            Place::Stream(stream) => return Self::stream(stream, None).map_err(at_place),
            Place::File(place) => place,
        };
        let mut name = place.file_name().map(OsString::from).unwrap_or_default();
        name.push(".part");
        let partial = place.with_file_name(name);
        match open_partial(&partial).and_then(|file| lock(file, &partial)) {
            Ok(file) => Ok(Self::Kept { file, partial, place }),
            Err(error) => Err(Obstacle { file: partial, error }),
        }
    }

    /// Whether it is a terminal's screen, on which nothing else is to be drawn meanwhile.
    pub(in crate::cli) fn is_screen(&self) -> bool {
        matches!(self, Self::Stream { screen: Some(_), .. })
    }

    /// Where the file will be; nothing, if it is a stream, of which nothing can be taken back.
    pub(in crate::cli) fn place(&self) -> Option<&Path> {
        match self {
            Self::Stream { .. } => None,
            Self::Fleeting { place, .. } | Self::Kept { place, .. } => Some(place),
        }
    }

    /// The file that a later run goes on with, if there is such a one.
    pub(in crate::cli) fn partial(&self) -> Option<&Path> {
        match self {
            Self::Stream { .. } | Self::Fleeting { .. } => None,
            Self::Kept { partial, .. } => Some(partial),
        }
    }

    /// Bytes that are there already, from this run or an earlier one; of a stream none are ever there.
    ///
    /// # Errors
    /// When the system cannot say.
    pub(in crate::cli) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Stream { .. } => Ok(0),
            Self::Fleeting { file, .. } => file.as_file().metadata().map(|found| found.len()),
            Self::Kept { file, .. } => file.metadata().map(|found| found.len()),
        }
    }

    /// Has what is there already read, a piece at a time; afterwards writing goes on behind it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::cli) fn read_back(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let file = match self {
            Self::Stream { .. } => return Ok(()),
            Self::Fleeting { file, .. } => file.as_file_mut(),
            Self::Kept { file, .. } => file,
        };
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) => each(buffer.get(..bytes).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets what is there: writing begins anew.
    ///
    /// # Errors
    /// When it cannot be cut; `Unsupported` for a stream, which has been given away.
    pub(in crate::cli) fn restart(&mut self) -> io::Result<()> {
        let file = match self {
            Self::Stream { .. } => return Err(io::ErrorKind::Unsupported.into()),
            Self::Fleeting { file, .. } => file.as_file_mut(),
            Self::Kept { file, .. } => file,
        };
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Adds `bytes` at the end. A stream that takes none is waited for, and so is a signal.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(in crate::cli) fn write_all(&mut self, bytes: &[u8], interrupt: &Interrupt) -> io::Result<Waited> {
        match self {
            // Its own errors name a file that nobody knows.
            Self::Fleeting { file, .. } => file.as_file_mut().write_all(bytes)?,
            Self::Kept { file, .. } => file.write_all(bytes)?,
            Self::Stream { stream, most, screen: None } => return write(stream, *most, bytes, interrupt),
            Self::Stream { stream, most, screen: Some(screen) } => {
                return write(stream, *most, screen.show(bytes).as_bytes(), interrupt);
            }
        }
        Ok(Waited::Ready)
    }

    /// As [`finish`](Self::finish), but what has come to the place meanwhile is left there.
    ///
    /// # Errors
    /// `AlreadyExists` where something is there, or when the system does not do it.
    pub(in crate::cli) fn finish_anew(self) -> io::Result<()> {
        match self {
            Self::Stream { .. } => self.finish(),
            Self::Fleeting { file, place } => {
                settle(file.as_file(), &place)?;
                file.persist_noclobber(place).map(drop).map_err(|error| error.error)
            }
            Self::Kept { file, partial, place } => {
                settle(&file, &place)?;
                // A second name, which unlike a rename is not given to anything but a new file (link(2)).
                fs::hard_link(&partial, place)?;
                fs::remove_file(partial)
            }
        }
    }

    /// All is there: the file goes to its place, and replaces what was there, whose permissions it takes over. Its bytes are on
    /// the disk before that.
    ///
    /// # Errors
    /// When the system does not do it; the place is then as it was.
    pub(in crate::cli) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stream { mut stream, screen, .. } => {
                // What began as a character and has not become one.
                stream.write_all(screen.map(|mut screen| screen.finish()).unwrap_or_default().as_bytes())
            }
            Self::Fleeting { file, place } => {
                settle(file.as_file(), &place)?;
                file.persist(place).map(drop).map_err(|error| error.error)
            }
            Self::Kept { file, partial, place } => {
                settle(&file, &place)?;
                fs::rename(partial, place)
            }
        }
    }

    /// Removes what is there, for it is no part of anything; a stream is left as it is.
    pub(in crate::cli) fn discard(self) {
        if let Self::Kept { partial, .. } = self {
            // Where it cannot be removed, the next run meets it and says why.
            let _ = fs::remove_file(partial);
        }
    }
}

/// What a path stands for.
enum Place {
    /// Something that is written to as it is: `/dev/null` is not to be replaced by a file.
    Stream(File),
    /// A file, or a place for one; no link.
    File(PathBuf),
}

impl Place {
    fn find(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")),
            // What a link leads to is replaced, and the link stays.
            Ok(found) if found.is_file() && path.is_symlink() => fs::canonicalize(path).map(Self::File),
            Ok(found) if found.is_file() => Ok(Self::File(path.to_owned())),
            Ok(_) => OpenOptions::new().write(true).open(path).map(Self::Stream),
            Err(error) if error.kind() != io::ErrorKind::NotFound || path.file_name().is_none() => Err(error),
            // Found out now, and not when all is there.
            Err(_) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Err(io::Error::new(io::ErrorKind::IsADirectory, "it names a directory, and there is none"))
            }
            Err(_) => Ok(Self::File(path.to_owned())),
        }
    }
}

/// Writes to a stream as much as it takes, piece by piece.
fn write(stream: &mut File, most: usize, bytes: &[u8], interrupt: &Interrupt) -> io::Result<Waited> {
    for piece in bytes.chunks(most) {
        if interrupt.wait(&*stream, Waiting::ToWrite, None)? == Waited::Interrupted {
            return Ok(Waited::Interrupted);
        }
        stream.write_all(piece)?;
    }
    Ok(Waited::Ready)
}

/// What the system said of a temporary file, whose name means nothing to the user. The library keeps the error itself to itself.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    io::Error::new(error.kind(), text.split_once(" at path ").map_or(text.as_str(), |(said, _)| said))
}

/// The directory of a path.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(all(test, unix))]
mod tests;
