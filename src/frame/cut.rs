//! The rule itself: given the bytes from a frame's first on, where does its payload lie?

use super::bounds::{Bounds, Cut, bounds};
use super::error::FrameError;
use super::framing::{Framing, MAX_RAW_BYTES};

/// A varint prefix has at most this many bytes: 64 bits, seven a byte.
pub(super) const MAX_VARINT_BYTES: usize = 10;

/// Applies `framing` to `bytes`, which begin where a frame begins. The first `seen` of them were here before and held no end.
#[inline]
pub(super) fn cut(framing: &Framing, bytes: &[u8], seen: usize, max_frame_bytes: usize) -> Result<Cut, FrameError> {
    match framing {
        Framing::Length(prefix) => prefix.cut(bytes, max_frame_bytes),
        Framing::Varint => cut_varint(bytes, max_frame_bytes),
        Framing::Lines => cut_line(bytes, seen, max_frame_bytes),
        Framing::Raw if bytes.is_empty() => Ok(Cut::Head(1)),
        // No piece is small enough, and waiting for more bytes would be waiting for ever.
        Framing::Raw if max_frame_bytes == 0 => {
            Err(FrameError::TooLarge { declared_bytes: bytes.len() as u64, max_frame_bytes, looks_like: None })
        }
        Framing::Raw => {
            let end = bytes.len().min(max_frame_bytes).min(MAX_RAW_BYTES);
            Ok(Cut::Frame(Bounds { payload_start: 0, payload_end: end, end }))
        }
    }
}

fn cut_varint(bytes: &[u8], max_frame_bytes: usize) -> Result<Cut, FrameError> {
    let mut declared = 0u64;
    for (at, byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        let group = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only; anything above it would be shifted out unseen.
        if at == MAX_VARINT_BYTES - 1 && group > 1 {
            return Err(FrameError::VarintTooLong);
        }
        declared |= group << (7 * at);
        if byte & 0x80 == 0 {
            return bounds(declared, at + 1, max_frame_bytes, bytes).map(Cut::Frame);
        }
    }
    if bytes.len() >= MAX_VARINT_BYTES { Err(FrameError::VarintTooLong) } else { Ok(Cut::Head(bytes.len() + 1)) }
}

fn cut_line(bytes: &[u8], seen: usize, max_frame_bytes: usize) -> Result<Cut, FrameError> {
    let fresh = bytes.get(seen..).unwrap_or_default();
    let feed = memchr::memchr(b'\n', fresh).map(|at| seen + at);
    let payload_end = match feed {
        Some(at) if at > 0 && bytes.get(at - 1) == Some(&b'\r') => at - 1,
        Some(at) => at,
        // A carriage return at the limit may still turn out to belong to the line's end.
        None => bytes.len() - usize::from(bytes.last() == Some(&b'\r')),
    };
    if payload_end > max_frame_bytes {
        return Err(FrameError::LineTooLong { max_frame_bytes });
    }
    Ok(match feed {
        Some(at) => Cut::Frame(Bounds { payload_start: 0, payload_end, end: at + 1 }),
        None => Cut::Head(bytes.len() + 1),
    })
}
