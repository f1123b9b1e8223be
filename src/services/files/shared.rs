//! The state that all connections of the files service share.

use std::sync::Mutex;

use cap_std::fs::Dir;

use super::checksum_cache::ChecksumCache;
use super::dialect::FilesDialect;

/// The directory handle, the dialect and the checksum cache.
pub(super) struct FilesShared {
    pub(super) root: Dir,
    pub(super) dialect: FilesDialect,
    pub(super) checksums: Mutex<ChecksumCache>,
}
