//! A listing: the regular files below a directory, found a bounded number of entries at a time.
//!
//! It holds at most as many bytes of names as one frame carries, and as many of directories to be looked into; what does not fit,
//! or lies too deep, is left out, and the listing says so. Directories that are links are not looked into, so it comes to an end.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{DirEntry, Metadata, ReadDir};

use super::Shared;
use super::names;
use super::wire::{self, Code, Fault, Listed, Listing, MAX_FRAME_BYTES};
use super::work::Outcome;

/// Entries looked at in one piece of work.
const ENTRIES_A_PIECE: usize = 512;

/// Entries looked at in all.
const MAX_ENTRIES: usize = 200_000;

/// Directories within one another.
const MAX_DEPTH: usize = 64;

/// Of a frame, for what stands around the files.
const FRAME_BYTES: usize = 64;

/// A listing in the making.
pub(super) struct Walk {
    shared: Arc<Shared>,
    /// Directories to be looked into, and how deep each lies. Nothing: it has not begun.
    ahead: Option<VecDeque<(PathBuf, usize)>>,
    /// Bytes of their names.
    ahead_bytes: usize,
    begin: String,
    open: Option<(PathBuf, usize, ReadDir)>,
    found: Vec<Listed>,
    /// What they will take in the frame.
    found_bytes: usize,
    looked_at: usize,
    truncated: bool,
}

impl Walk {
    pub(super) fn new(shared: Arc<Shared>, begin: String) -> Self {
        let (found, found_bytes, looked_at) = (Vec::new(), FRAME_BYTES, 0);
        Self { shared, ahead: None, ahead_bytes: 0, begin, open: None, found, found_bytes, looked_at, truncated: false }
    }

    pub(super) fn advance(&mut self) -> Outcome {
        match self.look_on() {
            Ok(true) => Outcome::Onward,
            Ok(false) => {
                self.found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
                let listing = Listing { files: std::mem::take(&mut self.found), truncated: self.truncated };
                Outcome::Last(Some(wire::to_json(&listing).into()))
            }
            Err(fault) => Outcome::Denied(fault),
        }
    }

    /// Looks at some entries. False: there are no more.
    fn look_on(&mut self) -> Result<bool, Fault> {
        if self.ahead.is_none() {
            self.begin()?;
        }
        for _ in 0..ENTRIES_A_PIECE {
            let Some((folder, depth, entries)) = &mut self.open else {
                if !self.next_folder()? {
                    return Ok(false);
                }
                continue;
            };
            let (folder, depth) = (folder.clone(), *depth);
            match entries.next() {
                Some(Ok(_)) if self.looked_at >= MAX_ENTRIES => return Ok(self.cut()),
                Some(Ok(entry)) => {
                    self.looked_at += 1;
                    if !self.note(&folder, depth, &entry) {
                        return Ok(self.cut());
                    }
                }
                Some(Err(error)) => {
                    log::warn!("files: {} cannot be listed to its end: {error}", folder.display());
                    self.truncated = true;
                    self.open = None;
                }
                None => self.open = None,
            }
        }
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let begin = Path::new(&self.begin);
        names::check(begin)?;
        // As its files' names will begin, without what stands for nothing.
        let begin: PathBuf = begin.components().filter(|part| *part != std::path::Component::CurDir).collect();
        let entries = self.read(&begin).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::new(Code::NotFound, "there is no such directory"),
            io::ErrorKind::NotADirectory => Fault::new(Code::Refused, "it is no directory"),
            _ => names::fault(&error),
        })?;
        self.open = Some((begin, 0, entries));
        self.ahead = Some(VecDeque::new());
        Ok(())
    }

    fn read(&self, folder: &Path) -> io::Result<ReadDir> {
        if folder.as_os_str().is_empty() { self.shared.root.entries() } else { self.shared.root.read_dir(folder) }
    }

    /// Opens the next directory that can be. False: there is none.
    fn next_folder(&mut self) -> Result<bool, Fault> {
        let Some((folder, depth)) = self.ahead.as_mut().and_then(VecDeque::pop_front) else { return Ok(false) };
        self.ahead_bytes = self.ahead_bytes.saturating_sub(folder.as_os_str().len());
        match self.read(&folder) {
            Ok(entries) => self.open = Some((folder, depth, entries)),
            Err(error) => {
                let fault = names::fault(&error);
                // That descriptors have run out says nothing about the directory.
                if fault.code == Code::Busy.to_string() {
                    return Err(fault);
                }
            }
        }
        Ok(true)
    }

    /// Notes a file, or a directory for later. False: there is no room for more.
    fn note(&mut self, folder: &Path, depth: usize, entry: &DirEntry) -> bool {
        let path = folder.join(entry.file_name());
        let Ok(kind) = entry.file_type() else { return true };
        if kind.is_dir() {
            self.note_folder(path, depth + 1);
            return true;
        }
        let found = if kind.is_symlink() { self.shared.root.metadata(&path) } else { entry.metadata() };
        // A name that is no text cannot be asked for, and so cannot be told.
        match (found, path.to_str()) {
            (Ok(found), Some(name)) if found.is_file() => self.note_file(name, &found),
            _ => true,
        }
    }

    fn note_folder(&mut self, path: PathBuf, depth: usize) {
        let bytes = path.as_os_str().len();
        if depth > MAX_DEPTH || self.ahead_bytes + bytes > MAX_FRAME_BYTES || bytes > wire::MAX_NAME_BYTES {
            self.truncated = true;
        } else if let Some(ahead) = &mut self.ahead {
            self.ahead_bytes += bytes;
            ahead.push_back((path, depth));
        }
    }

    fn note_file(&mut self, name: &str, found: &Metadata) -> bool {
        let modified = wire::written_at(found.modified().map(cap_std::time::SystemTime::into_std));
        let name = if std::path::MAIN_SEPARATOR == '/' { name.to_owned() } else { name.replace('\\', "/") };
        let listed = Listed { name, size: found.len(), modified };
        let bytes = wire::to_json(&listed).len() + 1;
        if self.found_bytes + bytes > MAX_FRAME_BYTES {
            return false;
        }
        self.found_bytes += bytes;
        self.found.push(listed);
        true
    }

    /// Leaves out the rest.
    fn cut(&mut self) -> bool {
        self.truncated = true;
        self.open = None;
        false
    }
}
