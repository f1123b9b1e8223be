//! Reading one piece of a file, and locking.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::wire::MAX_PIECE_BYTES;

/// Reads one piece of `file` from offset `at`, at most up to `end`.
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

/// Locks `mutex`. The value is consistent even after a worker has panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
