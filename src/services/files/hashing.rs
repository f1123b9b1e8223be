//! One file's checksum in the making, which all who ask for that file have in common: each piece is hashed once, by whoever comes
//! next and with its own handle, and all find the sum when it is done.
//!
//! Its invariant: one worker hashes at a time, a bounded piece, and whoever comes meanwhile stays no longer than that piece takes.

use std::fs::File;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::hashes::Sum;
use super::work::{lock, read_at};

/// Bytes hashed in one piece of work.
pub(super) const HASHED_BYTES: u64 = 4 << 20;

/// A checksum in the making.
#[derive(Debug)]
pub(super) struct Hashing {
    /// Of the file, in bytes.
    size: u64,
    state: Mutex<State>,
    rested: Condvar,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Turns that are over: who waits for one to end would not notice it if the next had begun already.
    turns: u64,
}

#[derive(Debug)]
enum Stage {
    /// Nobody is at it: the bytes before `at` are hashed.
    Resting {
        hasher: Sha256,
        at: u64,
    },
    /// A worker is.
    Turning,
    Done(Sum),
}

impl Hashing {
    pub(super) fn new(size: u64) -> Self {
        let stage = Stage::Resting { hasher: Sha256::new(), at: 0 };
        Self { size, state: Mutex::new(State { stage, turns: 0 }), rested: Condvar::new() }
    }

    /// Hashes the next piece from `file`, or stays until somebody else has. The sum, when it is known.
    ///
    /// # Errors
    /// When `file` cannot be read. What others have of it may be better, and they go on.
    pub(super) fn advance(&self, file: &File) -> io::Result<Option<Sum>> {
        let mut state = lock(&self.state);
        match &mut state.stage {
            Stage::Done(sum) => Ok(Some(*sum)),
            // Whoever waits does not take its turn then, or it could wait for any number of pieces. That it stays here at all, and does
            // not come again at once, keeps it from asking in circles.
            Stage::Turning => {
                let this = state.turns;
                let state = self.rested.wait_while(state, |state| state.turns == this);
                Ok(state.unwrap_or_else(PoisonError::into_inner).sum())
            }
            Stage::Resting { hasher, at } => {
                let (hasher, at) = (std::mem::take(hasher), *at);
                state.stage = Stage::Turning;
                drop(state);
                Turn { hashing: self, hasher, at }.take(file)?;
                Ok(lock(&self.state).sum())
            }
        }
    }
}

impl State {
    fn sum(&self) -> Option<Sum> {
        if let Stage::Done(sum) = self.stage { Some(sum) } else { None }
    }
}

/// A worker's turn. However it ends, another one follows.
struct Turn<'a> {
    hashing: &'a Hashing,
    hasher: Sha256,
    at: u64,
}

impl Turn<'_> {
    fn take(mut self, file: &File) -> io::Result<()> {
        let until = self.hashing.size.min(self.at.saturating_add(HASHED_BYTES));
        while self.at < until {
            let bytes = read_at(file, self.at, until)?;
            self.hasher.update(&bytes);
            self.at += bytes.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let hasher = std::mem::take(&mut self.hasher);
        let is_done = self.at == self.hashing.size;
        let mut state = lock(&self.hashing.state);
        state.stage =
            if is_done { Stage::Done(hasher.finalize().into()) } else { Stage::Resting { hasher, at: self.at } };
        state.turns += 1;
        drop(state);
        self.hashing.rested.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const SIZE: u64 = 2 * HASHED_BYTES + 5;

    /// An open file that has no name any more.
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

    fn sum(bytes: &[u8]) -> Sum {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn each_piece_is_hashed_once_by_whoever_comes_next() {
        let content = content();
        let (one, other) = (file(&content), file(&content));
        let hashing = Hashing::new(SIZE);
        assert_eq!(hashing.advance(&one).unwrap(), None);
        assert_eq!(hashing.advance(&other).unwrap(), None);
        assert_eq!(hashing.advance(&one).unwrap(), Some(sum(&content)));
        assert_eq!(hashing.advance(&other).unwrap(), Some(sum(&content)));
        assert_eq!(Hashing::new(0).advance(&file(b"")).unwrap(), Some(sum(b"")));
    }

    #[test]
    fn who_cannot_read_on_leaves_the_rest_to_others() {
        let content = content();
        let (cut, whole) = (file(&content[..100]), file(&content));
        let hashing = Hashing::new(SIZE);
        assert_eq!(hashing.advance(&whole).unwrap(), None);
        assert_eq!(hashing.advance(&cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(hashing.advance(&whole).unwrap(), None);
        assert_eq!(hashing.advance(&whole).unwrap(), Some(sum(&content)));
    }

    #[test]
    fn all_come_to_the_sum_however_they_meet() {
        let content = content();
        let (hashing, found) = (Hashing::new(SIZE), AtomicUsize::new(0));
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
