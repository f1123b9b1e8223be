//! Finds a frame and its payload in bytes that start with a frame. Every framing rule is
//! implemented here, once; prefixes of fixed width in [`length`](super::length).

use super::bounds::{FrameBounds, Scan, bounds};
use super::error::FrameError;
use super::framing::{Framing, MAX_RAW_BYTES};

/// The largest number of bytes of a varint prefix: 64 bits, 7 per byte.
pub(super) const MAX_VARINT_BYTES: usize = 10;

/// Applies `framing` to `bytes`, which start with a frame. The first `scanned` bytes were scanned
/// by an earlier call, which found no end of a line in them.
#[inline]
pub(super) fn scan(
    framing: &Framing,
    bytes: &[u8],
    scanned: usize,
    max_frame_bytes: usize,
) -> Result<Scan, FrameError> {
    match framing {
        Framing::Length(prefix) => prefix.scan(bytes, max_frame_bytes),
        Framing::Varint => scan_varint(bytes, max_frame_bytes),
        Framing::Lines => scan_line(bytes, scanned, max_frame_bytes),
        Framing::Raw if bytes.is_empty() => Ok(Scan::NeedBytes(1)),
        // Every payload exceeds the limit, and further bytes would not change that.
        Framing::Raw if max_frame_bytes == 0 => {
            Err(FrameError::TooLarge { declared_bytes: bytes.len() as u64, max_frame_bytes, looks_like: None })
        }
        Framing::Raw => {
            let end = bytes.len().min(max_frame_bytes).min(MAX_RAW_BYTES);
            Ok(Scan::Frame(FrameBounds { payload_start: 0, payload_end: end, end }))
        }
    }
}

fn scan_varint(bytes: &[u8], max_frame_bytes: usize) -> Result<Scan, FrameError> {
    let mut declared = 0u64;
    for (at, byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        let group = u64::from(byte & 0x7f);
        // The tenth byte holds bit 63 alone. The shift below would drop any higher bit without an
        // error.
        if at == MAX_VARINT_BYTES - 1 && group > 1 {
            return Err(FrameError::VarintTooLong);
        }
        declared |= group << (7 * at);
        if byte & 0x80 == 0 {
            return bounds(declared, at + 1, max_frame_bytes, bytes).map(Scan::Frame);
        }
    }
    if bytes.len() >= MAX_VARINT_BYTES { Err(FrameError::VarintTooLong) } else { Ok(Scan::NeedBytes(bytes.len() + 1)) }
}

fn scan_line(bytes: &[u8], scanned: usize, max_frame_bytes: usize) -> Result<Scan, FrameError> {
    let fresh = bytes.get(scanned..).unwrap_or_default();
    let feed = memchr::memchr(b'\n', fresh).map(|at| scanned + at);
    let payload_end = match feed {
        Some(at) if at > 0 && bytes.get(at - 1) == Some(&b'\r') => at - 1,
        Some(at) => at,
        // A carriage return at the end may be the first half of the line ending, which does not
        // count against the limit.
        None => bytes.len() - usize::from(bytes.last() == Some(&b'\r')),
    };
    if payload_end > max_frame_bytes {
        return Err(FrameError::LineTooLong { max_frame_bytes });
    }
    Ok(match feed {
        Some(at) => Scan::Frame(FrameBounds { payload_start: 0, payload_end, end: at + 1 }),
        None => Scan::NeedBytes(bytes.len() + 1),
    })
}
