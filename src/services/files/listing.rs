//! Lists the regular files below a directory, a bounded number of entries per piece of work.
//!
//! The names of the files found fit into one frame, and so do the names of the directories still to
//! visit. Files that do not fit, or lie too deep, are left out, and the listing is marked as
//! truncated. Symbolic links to directories are not followed, so the walk ends.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{DirEntry, Metadata, ReadDir};
use log::Level;

use super::open;
use super::outcome::Outcome;
use super::shared::FilesShared;
use super::wire::{self, FilesError, FilesErrorCode, ListedFile, Listing, MAX_FRAME_BYTES};
use crate::frame::escape::excerpt;
use crate::service::warning_limit::log_limited;

/// Entries read in one piece of work.
const ENTRIES_PER_PIECE: usize = 512;

/// Entries read in one listing at most.
const MAX_ENTRIES: usize = 200_000;

/// The deepest nesting of directories.
const MAX_DEPTH: usize = 64;

/// Bytes of the frame reserved for the JSON around the files.
const JSON_OVERHEAD_BYTES: usize = 64;

/// An unfinished listing.
pub(super) struct ListingWalk {
    shared: Arc<FilesShared>,
    /// Directories still to visit, with their depth; `None` before the first piece.
    pending: Option<VecDeque<(PathBuf, usize)>>,
    /// The bytes of their names.
    pending_bytes: usize,
    /// The requested directory.
    start: String,
    /// The directory being read: path, depth, entries.
    current: Option<(PathBuf, usize, ReadDir)>,
    found: Vec<ListedFile>,
    /// The bytes that they take in the frame.
    found_bytes: usize,
    entries_read: usize,
    truncated: bool,
}

impl ListingWalk {
    pub(super) fn new(shared: Arc<FilesShared>, start: String) -> Self {
        let (found, found_bytes, entries_read) = (Vec::new(), JSON_OVERHEAD_BYTES, 0);
        Self {
            shared,
            pending: None,
            pending_bytes: 0,
            start,
            current: None,
            found,
            found_bytes,
            entries_read,
            truncated: false,
        }
    }

    /// Returns the bytes of the names found, and of the directories still to visit.
    pub(super) fn held_bytes(&self) -> usize {
        self.found_bytes + self.pending_bytes
    }

    /// Does one piece of work.
    pub(super) fn advance(&mut self) -> Outcome {
        match self.read_entries() {
            Ok(true) => Outcome::Continue,
            Ok(false) => {
                self.found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
                let listing = Listing { files: std::mem::take(&mut self.found), truncated: self.truncated };
                Outcome::Last(Some(wire::to_json(&listing).into()))
            }
            Err(error) => Outcome::Rejected(error),
        }
    }

    /// Reads up to [`ENTRIES_PER_PIECE`] entries; returns false at the end of the listing.
    fn read_entries(&mut self) -> Result<bool, FilesError> {
        if self.pending.is_none() {
            self.open_start()?;
        }
        for _ in 0..ENTRIES_PER_PIECE {
            let Some((folder, depth, entries)) = &mut self.current else {
                if !self.next_folder()? {
                    return Ok(false);
                }
                continue;
            };
            let (folder, depth) = (folder.clone(), *depth);
            match entries.next() {
                Some(Ok(_)) if self.entries_read >= MAX_ENTRIES => return Ok(self.truncate()),
                Some(Ok(entry)) => {
                    self.entries_read += 1;
                    if !self.add(&folder, depth, &entry) {
                        return Ok(self.truncate());
                    }
                }
                Some(Err(error)) => {
                    let shown = folder.to_string_lossy();
                    log_limited(
                        Level::Warn,
                        "files incomplete listings",
                        format_args!("files: listing of '{}' incomplete: {error}", excerpt(&shown)),
                    );
                    self.truncated = true;
                    self.current = None;
                }
                None => self.current = None,
            }
        }
        Ok(true)
    }

    /// Opens the requested directory.
    fn open_start(&mut self) -> Result<(), FilesError> {
        let start = Path::new(&self.start);
        open::check_name(start)?;
        // Without `.` components, because the listed names begin with this path.
        let start: PathBuf = start.components().filter(|part| *part != std::path::Component::CurDir).collect();
        let entries = self.read(&start).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FilesError::new(FilesErrorCode::NotFound, "there is no such directory"),
            io::ErrorKind::NotADirectory => FilesError::new(FilesErrorCode::Refused, "it is no directory"),
            _ => open::client_error(&error),
        })?;
        self.current = Some((start, 0, entries));
        self.pending = Some(VecDeque::new());
        Ok(())
    }

    fn read(&self, folder: &Path) -> io::Result<ReadDir> {
        if folder.as_os_str().is_empty() { self.shared.root.entries() } else { self.shared.root.read_dir(folder) }
    }

    /// Opens the next pending directory; returns false if none is left. A directory that cannot be
    /// opened is skipped.
    fn next_folder(&mut self) -> Result<bool, FilesError> {
        let Some((folder, depth)) = self.pending.as_mut().and_then(VecDeque::pop_front) else { return Ok(false) };
        self.pending_bytes = self.pending_bytes.saturating_sub(folder.as_os_str().len());
        match self.read(&folder) {
            Ok(entries) => self.current = Some((folder, depth, entries)),
            Err(error) => {
                let error = open::client_error(&error);
                // Without free descriptors the directory would be skipped by mistake.
                if error.code == FilesErrorCode::Busy.to_string() {
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Adds a file to the listing, or a directory to the pending ones; returns false if the frame
    /// is full.
    fn add(&mut self, folder: &Path, depth: usize, entry: &DirEntry) -> bool {
        let path = folder.join(entry.file_name());
        let Ok(kind) = entry.file_type() else { return true };
        if kind.is_dir() {
            self.add_folder(path, depth + 1);
            return true;
        }
        let found = if kind.is_symlink() { self.shared.root.metadata(&path) } else { entry.metadata() };
        // A name that is not UTF-8 cannot be requested in JSON, so it is not listed.
        match (found, path.to_str()) {
            (Ok(found), Some(name)) if found.is_file() => self.add_file(name, &found),
            _ => true,
        }
    }

    fn add_folder(&mut self, path: PathBuf, depth: usize) {
        let bytes = path.as_os_str().len();
        if depth > MAX_DEPTH || self.pending_bytes + bytes > MAX_FRAME_BYTES || bytes > wire::MAX_NAME_BYTES {
            self.truncated = true;
        } else if let Some(pending) = &mut self.pending {
            self.pending_bytes += bytes;
            pending.push_back((path, depth));
        }
    }

    fn add_file(&mut self, name: &str, found: &Metadata) -> bool {
        let modified = wire::format_time(found.modified().map(cap_std::time::SystemTime::into_std));
        let name = if std::path::MAIN_SEPARATOR == '/' { name.to_owned() } else { name.replace('\\', "/") };
        let listed = ListedFile { name, size: found.len(), modified };
        let bytes = wire::to_json(&listed).len() + 1;
        if self.found_bytes + bytes > MAX_FRAME_BYTES {
            return false;
        }
        self.found_bytes += bytes;
        self.found.push(listed);
        true
    }

    /// Leaves out the rest of the files.
    fn truncate(&mut self) -> bool {
        self.truncated = true;
        self.current = None;
        false
    }
}
