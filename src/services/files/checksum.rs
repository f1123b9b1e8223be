//! The checksum of one file, computed piece by piece and shared by all requests for that file. Each
//! piece is hashed once, by the worker of the next request, with that request's own file handle.
//!
//! Invariant: one worker hashes at a time, one bounded piece. A worker that arrives meanwhile waits
//! for that piece only.

use std::fs::File;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::read::{lock, read_at};

/// A SHA-256 checksum.
pub(super) type Checksum = [u8; 32];

/// Bytes hashed in one piece of work.
const HASH_PIECE_BYTES: u64 = 4 << 20;

/// An unfinished checksum.
#[derive(Debug)]
pub(super) struct SharedChecksum {
    /// The file's size, in bytes.
    size: u64,
    progress: Mutex<HashProgress>,
    piece_done: Condvar,
}

#[derive(Debug)]
struct HashProgress {
    state: HashState,
    /// The number of pieces hashed. A waiting worker compares it, because the next piece may have
    /// begun before the worker wakes.
    pieces: u64,
}

#[derive(Debug)]
enum HashState {
    /// No worker is hashing; the bytes before `at` are hashed.
    Idle {
        hasher: Sha256,
        at: u64,
    },
    /// A worker is hashing a piece.
    Busy,
    Done(Checksum),
}

impl SharedChecksum {
    pub(super) fn new(size: u64) -> Self {
        let state = HashState::Idle { hasher: Sha256::new(), at: 0 };
        Self { size, progress: Mutex::new(HashProgress { state, pieces: 0 }), piece_done: Condvar::new() }
    }

    /// Hashes the next piece from `file`, or waits until another worker has hashed it. Returns the
    /// checksum once it is known.
    ///
    /// # Errors
    /// The error of reading `file`. Other requests continue with their own handles.
    pub(super) fn advance(&self, file: &File) -> io::Result<Option<Checksum>> {
        let mut progress = lock(&self.progress);
        match &mut progress.state {
            HashState::Done(sum) => Ok(Some(*sum)),
            // This worker waits for one piece and hashes none afterwards, so its time is bounded.
            // Returning without waiting would make its request spin.
            HashState::Busy => {
                let this = progress.pieces;
                let progress = self.piece_done.wait_while(progress, |progress| progress.pieces == this);
                Ok(progress.unwrap_or_else(PoisonError::into_inner).sum())
            }
            HashState::Idle { hasher, at } => {
                let (hasher, at) = (std::mem::take(hasher), *at);
                progress.state = HashState::Busy;
                drop(progress);
                HashPiece { hashing: self, hasher, at }.hash(file)?;
                Ok(lock(&self.progress).sum())
            }
        }
    }
}

impl HashProgress {
    fn sum(&self) -> Option<Checksum> {
        if let HashState::Done(sum) = self.state { Some(sum) } else { None }
    }
}

/// One worker's piece. Dropping it stores the progress, also after an error or a panic, so that
/// another worker can continue.
struct HashPiece<'a> {
    hashing: &'a SharedChecksum,
    hasher: Sha256,
    at: u64,
}

impl HashPiece<'_> {
    fn hash(mut self, file: &File) -> io::Result<()> {
        let until = self.hashing.size.min(self.at.saturating_add(HASH_PIECE_BYTES));
        while self.at < until {
            let bytes = read_at(file, self.at, until)?;
            self.hasher.update(&bytes);
            self.at += bytes.len() as u64;
        }
        Ok(())
    }
}

impl Drop for HashPiece<'_> {
    fn drop(&mut self) {
        let hasher = std::mem::take(&mut self.hasher);
        let is_done = self.at == self.hashing.size;
        let mut progress = lock(&self.hashing.progress);
        progress.state =
            if is_done { HashState::Done(hasher.finalize().into()) } else { HashState::Idle { hasher, at: self.at } };
        progress.pieces += 1;
        drop(progress);
        self.hashing.piece_done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const SIZE: u64 = 2 * HASH_PIECE_BYTES + 5;

    /// Returns an open file that is already unlinked.
    fn file(bytes: &[u8]) -> File {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("switchboard-hashing-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        std::io::Write::write_all(&mut &file, bytes).unwrap();
        file
    }

    fn content() -> Vec<u8> {
        (0..SIZE).map(|at| at.to_le_bytes()[1]).collect()
    }

    fn sum(bytes: &[u8]) -> Checksum {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn each_piece_is_hashed_once_by_the_next_caller() {
        let content = content();
        let (one, other) = (file(&content), file(&content));
        let hashing = SharedChecksum::new(SIZE);
        assert_eq!(hashing.advance(&one).unwrap(), None);
        assert_eq!(hashing.advance(&other).unwrap(), None);
        assert_eq!(hashing.advance(&one).unwrap(), Some(sum(&content)));
        assert_eq!(hashing.advance(&other).unwrap(), Some(sum(&content)));
        assert_eq!(SharedChecksum::new(0).advance(&file(b"")).unwrap(), Some(sum(b"")));
    }

    #[test]
    fn after_a_read_error_others_continue() {
        let content = content();
        let (cut, whole) = (file(&content[..100]), file(&content));
        let hashing = SharedChecksum::new(SIZE);
        assert_eq!(hashing.advance(&whole).unwrap(), None);
        assert_eq!(hashing.advance(&cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(hashing.advance(&whole).unwrap(), None);
        assert_eq!(hashing.advance(&whole).unwrap(), Some(sum(&content)));
    }

    #[test]
    fn concurrent_callers_all_get_the_checksum() {
        let content = content();
        let (hashing, found) = (SharedChecksum::new(SIZE), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let own = file(&content);
                    let all = std::iter::repeat_with(|| hashing.advance(&own).unwrap()).find_map(|sum| sum);
                    assert_eq!(all, Some(sum(&content)));
                    found.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(found.into_inner(), 8);
    }
}
