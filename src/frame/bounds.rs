//! The position of a frame and its payload in the bytes received.

use std::ops::Range;

use super::error::FrameError;
use super::sniff;

/// The result of scanning bytes that start with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The frame's end is not known yet. The scan needs this many bytes, counted from the frame's
    /// first, to go on.
    NeedBytes(usize),
    /// The frame's end is known. Its last bytes may not have arrived yet.
    Frame(FrameBounds),
}

/// Offsets of a frame's parts, counted from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameBounds {
    pub(super) payload_start: usize,
    pub(super) payload_end: usize,
    /// One past the frame's last byte: the end of the payload, or of the line feed after it.
    pub(super) end: usize,
}

impl FrameBounds {
    pub(super) const fn payload(&self) -> Range<usize> {
        self.payload_start..self.payload_end
    }
}

/// Returns the bounds of a payload of `declared` bytes that begins at `start`.
///
/// # Errors
/// [`FrameError::TooLarge`] if `declared` exceeds `max_frame_bytes`.
#[inline]
pub(super) fn bounds(
    declared: u64,
    start: usize,
    max_frame_bytes: usize,
    bytes: &[u8],
) -> Result<FrameBounds, FrameError> {
    let end = usize::try_from(declared).ok().filter(|payload| *payload <= max_frame_bytes);
    match end.and_then(|payload| payload.checked_add(start)) {
        Some(end) => Ok(FrameBounds { payload_start: start, payload_end: end, end }),
        None => Err(too_large(declared, max_frame_bytes, bytes)),
    }
}

#[cold]
pub(super) fn too_large(declared_bytes: u64, max_frame_bytes: usize, bytes: &[u8]) -> FrameError {
    FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: sniff::looks_like(bytes) }
}
