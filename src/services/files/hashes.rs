//! Checksums of whole files, so that a file that many get, or one gets in parts, is read through once.
//!
//! Its invariant: a checksum is found only for a file that has not been written to since it was taken.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::sync::{Arc, Weak};

use super::hashing::Hashing;

/// Files whose checksums are remembered.
const MAX_REMEMBERED: usize = 256;

/// A whole file's SHA-256.
pub(super) type Sum = [u8; 32];

/// The checksums of the files that were asked for last; the latest is in front.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    remembered: VecDeque<(Version, Sum)>,
    /// Those in the making, for as long as somebody asks for them.
    begun: Vec<(Version, Weak<Hashing>)>,
}

impl Hashes {
    pub(super) fn find(&mut self, version: Version) -> Option<Sum> {
        let at = self.remembered.iter().position(|(known, _)| *known == version)?;
        let found = self.remembered.remove(at)?;
        self.remembered.push_front(found);
        Some(found.1)
    }

    /// A checksum in the making: the one that others wait for, or a new one.
    pub(super) fn join(&mut self, version: Version) -> Arc<Hashing> {
        self.begun.retain(|(_, begun)| begun.strong_count() > 0);
        let begun = self.begun.iter().find(|(known, _)| *known == version).and_then(|(_, begun)| begun.upgrade());
        begun.unwrap_or_else(|| {
            let begun = Arc::new(Hashing::new(version.size));
            self.begun.push((version, Arc::downgrade(&begun)));
            begun
        })
    }

    pub(super) fn remember(&mut self, version: Version, sum: Sum) {
        if self.find(version).is_none() {
            self.remembered.truncate(MAX_REMEMBERED - 1);
            self.remembered.push_front((version, sum));
        }
    }
}

/// One file as it was at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Unlike the time of the last write, nobody can set it.
    changed: (i64, i64),
}

impl Version {
    #[cfg(unix)]
    #[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
    pub(super) fn of(found: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// When the file or its description changed last, in seconds since 1970.
    pub(super) fn last_change_secs(&self) -> i64 {
        self.modified.0.max(self.changed.0)
    }

    /// What would tell one file from another is not known here, so nothing is remembered.
    #[cfg(not(unix))]
    pub(super) fn of(_found: &Metadata) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(inode: u64) -> Version {
        Version { device: 1, inode, size: 1, modified: (0, 0), changed: (0, 0) }
    }

    #[test]
    fn the_ones_not_asked_for_longest_are_forgotten() {
        let mut hashes = Hashes::default();
        hashes.remember(version(0), [7; 32]);
        for inode in 1..MAX_REMEMBERED as u64 {
            hashes.remember(version(inode), [0; 32]);
        }
        assert_eq!(hashes.find(version(0)), Some([7; 32]));
        hashes.remember(version(1000), [0; 32]);
        assert_eq!(hashes.remembered.len(), MAX_REMEMBERED);
        assert_eq!(hashes.find(version(1)), None);
        assert_eq!(hashes.find(version(0)), Some([7; 32]));
    }

    #[test]
    fn who_asks_for_the_same_file_joins_and_nothing_is_left_when_nobody_asks() {
        let mut hashes = Hashes::default();
        let (one, same, other) = (hashes.join(version(1)), hashes.join(version(1)), hashes.join(version(2)));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        drop((one, same));
        let anew = hashes.join(version(1));
        assert_eq!((Arc::strong_count(&anew), hashes.begun.len()), (1, 2));
        drop((anew, other));
        hashes.join(version(3));
        assert_eq!(hashes.begun.len(), 1);
    }

    #[test]
    fn a_file_that_was_written_to_is_another() {
        let mut hashes = Hashes::default();
        hashes.remember(version(1), [7; 32]);
        assert_eq!(hashes.find(Version { modified: (0, 1), ..version(1) }), None);
        assert_eq!(hashes.find(Version { changed: (0, 1), ..version(1) }), None);
        assert_eq!(hashes.find(Version { size: 2, ..version(1) }), None);
        assert_eq!(hashes.find(Version { device: 2, ..version(1) }), None);
    }
}
