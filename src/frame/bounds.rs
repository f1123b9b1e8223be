//! Where a frame and its payload lie in the bytes received.

use std::ops::Range;

use super::error::FrameError;
use super::sniff;

/// What the bytes from a frame's first on say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Its end is not known yet: this many bytes, counted from its first, are needed to go on.
    Head(usize),
    /// Its end is known, whether or not it has arrived.
    Frame(Bounds),
}

/// Where a frame and its payload lie, counted from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) payload_start: usize,
    pub(super) payload_end: usize,
    /// One past the frame's last byte: the payload's end, or the end of the line feed after it.
    pub(super) end: usize,
}

impl Bounds {
    pub(super) const fn payload(&self) -> Range<usize> {
        self.payload_start..self.payload_end
    }
}

/// The bounds of a payload of `declared` bytes that begins at `start`, unless that is more than the limit.
#[inline]
pub(super) fn bounds(declared: u64, start: usize, max_frame_bytes: usize, bytes: &[u8]) -> Result<Bounds, FrameError> {
    let end = usize::try_from(declared).ok().filter(|payload| *payload <= max_frame_bytes);
    match end.and_then(|payload| payload.checked_add(start)) {
        Some(end) => Ok(Bounds { payload_start: start, payload_end: end, end }),
        None => Err(too_large(declared, max_frame_bytes, bytes)),
    }
}

#[cold]
pub(super) fn too_large(declared_bytes: u64, max_frame_bytes: usize, bytes: &[u8]) -> FrameError {
    FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: sniff::looks_like(bytes) }
}
