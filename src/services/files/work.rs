//! What workers do for a connection, a bounded piece at a time: open, hash, read, list.
//!
//! Between two pieces the work rests in memory, so that no file and no directory, however large, keeps a worker.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::Shared;
use super::hashes::{Sum, Version};
use super::hashing::Hashing;
use super::names;
use super::walk::Walk;
use super::wire::{self, Code, Fault, Head, MAX_PIECE_BYTES};
use crate::frame::Payload;
use crate::frame::escape::hex;

/// A checksum is remembered, and taken together with others, if the file had been left alone for so long: within a system's clock tick a second write cannot be
/// told from the first.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// One request's work. A clone is the same work; only one of them is done at a time.
#[derive(Clone)]
pub(super) struct Task(Arc<Mutex<Work>>);

enum Work {
    Get(Box<Get>),
    List(Box<Walk>),
}

/// What has come of one piece.
pub(super) enum Outcome {
    /// Nothing to be said yet.
    Onward,
    /// To be sent, and there is more to do.
    Piece(Payload),
    /// To be sent if there is something, and no more.
    Last(Option<Payload>),
    /// The request is not granted; nothing has been said yet.
    Denied(Fault),
    /// It cannot be gone on with, although part of it has been said.
    Broken(String),
}

impl Task {
    /// A whole file, by the first of these names that there is, and nothing else.
    pub(super) fn bytes(shared: Arc<Shared>, names: Vec<PathBuf>) -> Self {
        Self::get(Get { shared, names, asked: None, stage: Stage::Closed })
    }

    /// A head, and then a file from `offset` on.
    pub(super) fn resumable(shared: Arc<Shared>, name: String, offset: u64) -> Self {
        let names = vec![PathBuf::from(&name)];
        Self::get(Get { shared, names, asked: Some((name, offset)), stage: Stage::Closed })
    }

    fn get(get: Get) -> Self {
        Self(Arc::new(Mutex::new(Work::Get(Box::new(get)))))
    }

    pub(super) fn list(shared: Arc<Shared>, directory: String) -> Self {
        Self(Arc::new(Mutex::new(Work::List(Box::new(Walk::new(shared, directory))))))
    }

    /// Does one piece; for a worker.
    pub(super) fn advance(&self) -> Outcome {
        match &mut *lock(&self.0) {
            Work::Get(get) => get.advance(),
            Work::List(walk) => walk.advance(),
        }
    }
}

/// A file on its way.
struct Get {
    shared: Arc<Shared>,
    /// What the file may be called; the first that is served is meant.
    names: Vec<PathBuf>,
    /// How it was asked for where a head is wanted, and from which byte on.
    asked: Option<(String, u64)>,
    stage: Stage,
}

enum Stage {
    Closed,
    Hashing { file: File, found: Box<Metadata>, hashing: Arc<Hashing> },
    Sending { file: File, at: u64, end: u64 },
}

impl Get {
    fn advance(&mut self) -> Outcome {
        match &mut self.stage {
            Stage::Closed => self.open().unwrap_or_else(Outcome::Denied),
            Stage::Hashing { .. } => self.hash().unwrap_or_else(Outcome::Denied),
            Stage::Sending { file, at, end } => match read_at(file, *at, *end) {
                Ok(bytes) => {
                    *at += bytes.len() as u64;
                    let piece = Payload::from(bytes);
                    if at < end { Outcome::Piece(piece) } else { Outcome::Last(Some(piece)) }
                }
                Err(error) => Outcome::Broken(format!("its file cannot be read on at byte {at}: {error}")),
            },
        }
    }

    fn open(&mut self) -> Result<Outcome, Fault> {
        let mut opened = Err(Fault::new(Code::NotFound, "there is no such file"));
        for name in &self.names {
            opened = names::open(&self.shared.root, name);
            if opened.is_ok() {
                break;
            }
        }
        let (file, found) = opened?;
        let size = found.len();
        match self.asked {
            None if size == 0 => return Ok(Outcome::Last(None)),
            None => {
                self.stage = Stage::Sending { file, at: 0, end: size };
                return Ok(Outcome::Onward);
            }
            Some((_, offset)) if offset > size => {
                return Err(Fault::new(
                    Code::BadOffset,
                    format!("the file has {size} bytes, which end before {offset}"),
                ));
            }
            Some(_) => {}
        }
        let mut hashes = lock(&self.shared.hashes);
        let version = Version::of(&found);
        let known = version.and_then(|version| hashes.find(version));
        // What may be written to within this very clock tick is not known to be the same file for two.
        let shared = version.filter(|version| version.was_left_alone(LEFT_ALONE));
        let hashing = shared.filter(|_| known.is_none()).map(|version| hashes.join(version));
        drop(hashes);
        if let Some(sum) = known {
            return Ok(self.head(file, &found, sum));
        }
        let hashing = hashing.unwrap_or_else(|| Arc::new(Hashing::new(size)));
        self.stage = Stage::Hashing { file, found: Box::new(found), hashing };
        Ok(Outcome::Onward)
    }

    fn hash(&mut self) -> Result<Outcome, Fault> {
        let Stage::Hashing { file, hashing, .. } = &self.stage else { return Ok(Outcome::Onward) };
        let sum = hashing.advance(file).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::new(Code::Failed, "it was cut while it was read; ask again"),
            _ => names::fault(&error),
        })?;
        let Some(sum) = sum else { return Ok(Outcome::Onward) };
        let Stage::Hashing { file, found, .. } = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return Ok(Outcome::Onward);
        };
        if let Some(version) = Version::of(&found)
            && file.metadata().ok().as_ref().and_then(Version::of) == Some(version)
            && version.was_left_alone(LEFT_ALONE)
        {
            lock(&self.shared.hashes).remember(version, sum);
        }
        Ok(self.head(file, &found, sum))
    }

    fn head(&mut self, file: File, found: &Metadata, sum: Sum) -> Outcome {
        let (name, offset) = self.asked.clone().unwrap_or_default();
        let sha256 = hex(&sum);
        let head = Head { name, size: found.len(), offset, sha256, modified: wire::written_at(found.modified()) };
        let payload = Payload::from(wire::to_json(&head));
        if offset == head.size {
            return Outcome::Last(Some(payload));
        }
        self.stage = Stage::Sending { file, at: offset, end: head.size };
        Outcome::Piece(payload)
    }
}

impl Version {
    /// Whether the last change is at least so long ago. A file from the future was not.
    fn was_left_alone(&self, length: Duration) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = Duration::from_secs(self.last_change_secs().try_into().unwrap_or(0));
        now.checked_sub(last).is_some_and(|age| age > length)
    }
}

/// Reads one piece of `file` from `at` on, and no further than `end`.
pub(super) fn read_at(mut file: &File, at: u64, end: u64) -> io::Result<Vec<u8>> {
    let wanted = end.saturating_sub(at).min(MAX_PIECE_BYTES as u64);
    let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(MAX_PIECE_BYTES));
    file.seek(SeekFrom::Start(at))?;
    file.take(wanted).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < wanted {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
    }
    Ok(bytes)
}

/// What is behind it is whole, even if a worker has panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
