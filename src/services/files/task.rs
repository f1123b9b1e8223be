//! The work of one request, done by worker threads in bounded pieces: open, hash, read, list.
//!
//! Between two pieces no worker is occupied, whatever the size of the file or directory.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::checksum::{Checksum, SharedChecksum};
use super::checksum_cache::FileVersion;
use super::listing::ListingWalk;
use super::open;
use super::outcome::Outcome;
use super::read::{lock, read_at};
use super::shared::FilesShared;
use super::wire::{self, FileHeader, FilesError, FilesErrorCode};
use crate::frame::Payload;
use crate::frame::escape::hex;

/// The age of a file's last change from which its checksum is cached and shared. Two writes within
/// one tick of the file system's clock have the same time stamp.
const MIN_UNCHANGED: Duration = Duration::from_secs(1);

/// The work of one request. Clones refer to the same work; a lock allows one at a time.
#[derive(Clone)]
pub(super) struct FilesTask(Arc<Mutex<TaskKind>>);

enum TaskKind {
    Get(Box<FileTransfer>),
    List(Box<ListingWalk>),
}

impl FilesTask {
    /// Returns a task that sends a whole file without a header: the first of `names` that exists.
    pub(super) fn bytes(shared: Arc<FilesShared>, names: Vec<PathBuf>) -> Self {
        Self::get(FileTransfer { shared, names, request: None, stage: TransferStage::Closed })
    }

    /// Returns a task that sends a header, then the file from `offset` on.
    pub(super) fn resumable(shared: Arc<FilesShared>, name: String, offset: u64) -> Self {
        let names = vec![PathBuf::from(&name)];
        Self::get(FileTransfer { shared, names, request: Some((name, offset)), stage: TransferStage::Closed })
    }

    fn get(transfer: FileTransfer) -> Self {
        Self(Arc::new(Mutex::new(TaskKind::Get(Box::new(transfer)))))
    }

    /// Returns a task that lists the files below `directory`.
    pub(super) fn list(shared: Arc<FilesShared>, directory: String) -> Self {
        Self(Arc::new(Mutex::new(TaskKind::List(Box::new(ListingWalk::new(shared, directory))))))
    }

    /// Returns the bytes that the next piece of work takes, if it reads at most `max` bytes. No
    /// piece is under way.
    pub(super) fn next_bytes(&self, max: usize) -> usize {
        match &*lock(&self.0) {
            TaskKind::Get(transfer) => transfer.next_bytes(max),
            TaskKind::List(walk) => walk.held_bytes(),
        }
    }

    /// Does one piece of work, which reads at most `max` bytes to send. Called on a worker thread.
    pub(super) fn advance(&self, max: usize) -> Outcome {
        match &mut *lock(&self.0) {
            TaskKind::Get(transfer) => transfer.advance(max),
            TaskKind::List(walk) => walk.advance(),
        }
    }
}

/// The transfer of one file.
struct FileTransfer {
    shared: Arc<FilesShared>,
    /// The possible names of the file; the first that exists is sent.
    names: Vec<PathBuf>,
    /// The requested name and offset; `None` if no header is sent.
    request: Option<(String, u64)>,
    stage: TransferStage,
}

/// The progress of a transfer.
enum TransferStage {
    Closed,
    SharedChecksum { file: File, found: Box<Metadata>, hashing: Arc<SharedChecksum> },
    Sending { file: File, at: u64, end: u64 },
}

impl FileTransfer {
    fn next_bytes(&self, max: usize) -> usize {
        let TransferStage::Sending { at, end, .. } = self.stage else { return 0 };
        usize::try_from(end - at).unwrap_or(max).min(max)
    }

    fn advance(&mut self, max: usize) -> Outcome {
        match &mut self.stage {
            TransferStage::Closed => self.open().unwrap_or_else(Outcome::Rejected),
            TransferStage::SharedChecksum { .. } => self.hash().unwrap_or_else(Outcome::Rejected),
            TransferStage::Sending { file, at, end } => match read_at(file, *at, (*end).min(*at + max as u64)) {
                Ok(bytes) => {
                    *at += bytes.len() as u64;
                    let piece = Payload::from(bytes);
                    if at < end { Outcome::Piece(piece) } else { Outcome::Last(Some(piece)) }
                }
                Err(error) => Outcome::Failed(format!("its file cannot be read on at byte {at}: {error}")),
            },
        }
    }

    fn open(&mut self) -> Result<Outcome, FilesError> {
        let mut opened = Err(FilesError::new(FilesErrorCode::NotFound, "there is no such file"));
        for name in &self.names {
            opened = open::open(&self.shared.root, name);
            if opened.is_ok() {
                break;
            }
        }
        let (file, found) = opened?;
        let size = found.len();
        match self.request {
            None if size == 0 => return Ok(Outcome::Last(None)),
            None => {
                self.stage = TransferStage::Sending { file, at: 0, end: size };
                return Ok(Outcome::Continue);
            }
            Some((_, offset)) if offset > size => {
                return Err(FilesError::new(
                    FilesErrorCode::BadOffset,
                    format!("the file has {size} bytes, which end before {offset}"),
                ));
            }
            Some(_) => {}
        }
        let mut checksums = lock(&self.shared.checksums);
        let version = FileVersion::of(&found);
        let known = checksums.find(version);
        // A file that changed within this clock tick may differ between two requests, so they do
        // not share its checksum.
        let is_shared = known.is_none() && version.is_unchanged_for(MIN_UNCHANGED);
        let hashing = is_shared.then(|| checksums.join(version));
        drop(checksums);
        if let Some(sum) = known {
            return Ok(self.header(file, &found, sum));
        }
        let hashing = hashing.unwrap_or_else(|| Arc::new(SharedChecksum::new(size)));
        self.stage = TransferStage::SharedChecksum { file, found: Box::new(found), hashing };
        Ok(Outcome::Continue)
    }

    fn hash(&mut self) -> Result<Outcome, FilesError> {
        let TransferStage::SharedChecksum { file, hashing, .. } = &self.stage else { return Ok(Outcome::Continue) };
        let sum = hashing.advance(file).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                FilesError::new(FilesErrorCode::Failed, "it was cut while it was read; ask again")
            }
            _ => open::client_error(&error),
        })?;
        let Some(sum) = sum else { return Ok(Outcome::Continue) };
        let TransferStage::SharedChecksum { file, found, .. } =
            std::mem::replace(&mut self.stage, TransferStage::Closed)
        else {
            return Ok(Outcome::Continue);
        };
        let version = FileVersion::of(&found);
        if file.metadata().is_ok_and(|now| FileVersion::of(&now) == version) && version.is_unchanged_for(MIN_UNCHANGED)
        {
            lock(&self.shared.checksums).insert(version, sum);
        }
        Ok(self.header(file, &found, sum))
    }

    /// Returns the header as output and continues with the file's bytes.
    fn header(&mut self, file: File, found: &Metadata, sum: Checksum) -> Outcome {
        let (name, offset) = self.request.clone().unwrap_or_default();
        let sha256 = hex(&sum);
        let header =
            FileHeader { name, size: found.len(), offset, sha256, modified: wire::format_time(found.modified()) };
        let payload = Payload::from(wire::to_json(&header));
        if offset == header.size {
            return Outcome::Last(Some(payload));
        }
        self.stage = TransferStage::Sending { file, at: offset, end: header.size };
        Outcome::Piece(payload)
    }
}

impl FileVersion {
    /// Returns true if the last change is older than `length`. A time stamp in the future counts as
    /// a recent change.
    fn is_unchanged_for(&self, length: Duration) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = Duration::from_secs(self.last_change_secs().try_into().unwrap_or(0));
        now.checked_sub(last).is_some_and(|age| age > length)
    }
}
