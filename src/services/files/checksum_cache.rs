//! A cache of whole files' checksums: a file is hashed once for many transfers, or for one transfer
//! in several parts.
//!
//! Invariant: the cache returns a checksum only if the file has not been written since it was
//! hashed.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Weak};

use super::checksum::{Checksum, SharedChecksum};

/// The largest number of cached checksums.
const MAX_CACHED: usize = 256;

/// The checksums of the files requested last; the latest is at the front.
#[derive(Debug, Default)]
pub(super) struct ChecksumCache {
    cached: VecDeque<(FileVersion, Checksum)>,
    /// Unfinished checksums, as long as a request uses them.
    in_progress: Vec<(FileVersion, Weak<SharedChecksum>)>,
}

impl ChecksumCache {
    /// Returns the checksum of a file version, and moves it to the front.
    pub(super) fn find(&mut self, version: FileVersion) -> Option<Checksum> {
        let at = self.cached.iter().position(|(known, _)| *known == version)?;
        let found = self.cached.remove(at)?;
        self.cached.push_front(found);
        Some(found.1)
    }

    /// Returns the unfinished checksum of a file version: the one that other requests use, or a new
    /// one.
    pub(super) fn join(&mut self, version: FileVersion) -> Arc<SharedChecksum> {
        self.in_progress.retain(|(_, hashing)| hashing.strong_count() > 0);
        let known = self.in_progress.iter().find(|(known, _)| *known == version);
        known.and_then(|(_, hashing)| hashing.upgrade()).unwrap_or_else(|| {
            let hashing = Arc::new(SharedChecksum::new(version.size));
            self.in_progress.push((version, Arc::downgrade(&hashing)));
            hashing
        })
    }

    /// Adds a checksum; removes the one that was requested the longest time ago if the cache is
    /// full.
    pub(super) fn insert(&mut self, version: FileVersion, sum: Checksum) {
        if self.find(version).is_none() {
            self.cached.truncate(MAX_CACHED - 1);
            self.cached.push_front((version, sum));
        }
    }
}

/// The identity of a file's content: the file and the times of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// The time of the last status change (ctime). Unlike the modification time, a program cannot
    /// set it.
    changed: (i64, i64),
}

impl FileVersion {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Returns the time of the last change of content or metadata, in seconds since 1970.
    pub(super) fn last_change_secs(&self) -> i64 {
        self.modified.0.max(self.changed.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(inode: u64) -> FileVersion {
        FileVersion { device: 1, inode, size: 1, modified: (0, 0), changed: (0, 0) }
    }

    #[test]
    fn the_least_recently_requested_checksum_is_removed() {
        let mut cache = ChecksumCache::default();
        cache.insert(version(0), [7; 32]);
        for inode in 1..MAX_CACHED as u64 {
            cache.insert(version(inode), [0; 32]);
        }
        assert_eq!(cache.find(version(0)), Some([7; 32]));
        cache.insert(version(1000), [0; 32]);
        assert_eq!(cache.cached.len(), MAX_CACHED);
        assert_eq!(cache.find(version(1)), None);
        assert_eq!(cache.find(version(0)), Some([7; 32]));
    }

    #[test]
    fn requests_for_one_file_share_its_unfinished_checksum() {
        let mut cache = ChecksumCache::default();
        let (one, same, other) = (cache.join(version(1)), cache.join(version(1)), cache.join(version(2)));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        drop((one, same));
        let new = cache.join(version(1));
        assert_eq!((Arc::strong_count(&new), cache.in_progress.len()), (1, 2));
        drop((new, other));
        cache.join(version(3));
        assert_eq!(cache.in_progress.len(), 1);
    }

    #[test]
    fn a_changed_file_is_another_version() {
        let mut cache = ChecksumCache::default();
        cache.insert(version(1), [7; 32]);
        assert_eq!(cache.find(FileVersion { modified: (0, 1), ..version(1) }), None);
        assert_eq!(cache.find(FileVersion { changed: (0, 1), ..version(1) }), None);
        assert_eq!(cache.find(FileVersion { size: 2, ..version(1) }), None);
        assert_eq!(cache.find(FileVersion { device: 2, ..version(1) }), None);
    }
}
