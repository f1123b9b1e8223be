//! How a byte stream is cut into payloads, and how payloads become bytes again. No socket, no clock.
//!
//! - [`Framing`] says which rule is in force, and reads and writes the rule's name;
//! - [`FrameDecoder`] applies it to bytes that arrive in any pieces;
//! - [`encode`](fn@encode) applies it the other way.
//!
//! The rule itself stands in one place, [`cut`]: given the bytes from a frame's first on, where does its payload lie?

mod decoder;
mod encode;
mod length;
mod name;
mod shared;
mod sniff;
mod spares;
#[cfg(test)]
mod tests;

pub use decoder::FrameDecoder;
#[cfg(feature = "cli")]
pub(crate) use encode::Head;
pub use encode::encode;
pub(crate) use encode::head;
pub use length::{Endian, LengthPrefix, Width};
pub use name::ParseFramingError;
pub(crate) use shared::{Batch, SharedFrames};
pub(crate) use spares::Spares;

use std::ops::Range;

use crate::error::FrameError;

/// The most that one message of [`Framing::Raw`] holds, in bytes.
pub const MAX_RAW_BYTES: usize = 64 * 1024;

/// A varint prefix has at most this many bytes: 64 bits, seven a byte.
const MAX_VARINT_BYTES: usize = 10;

/// A rule that cuts a byte stream into payloads.
///
/// ```
/// use switchboard::{FrameDecoder, Framing, encode};
///
/// let mut wire = Vec::new();
/// encode(Framing::U32BE, b"hi", &mut wire)?;
/// assert_eq!(wire, b"\0\0\0\x02hi");
///
/// let mut decoder = FrameDecoder::new(Framing::U32BE, 1024);
/// let mut input = &wire[..5]; // the network may cut anywhere
/// assert_eq!(decoder.decode(&mut input)?, None);
/// let mut input = &wire[5..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"hi"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An integer of fixed width says how long the payload is.
    Length(LengthPrefix),
    /// A base-128 varint, least significant group first, says how long the payload is (as Protocol Buffers delimits).
    Varint,
    /// A line feed ends the payload; a carriage return before it belongs to the end. The last line of a stream may lack both.
    Lines,
    /// No frames: what one read returns is one payload, of at most [`MAX_RAW_BYTES`].
    Raw,
}

impl Framing {
    /// One byte: payloads of up to 255 bytes.
    pub const U8: Self = Self::Length(LengthPrefix::new(Width::One, Endian::Big));
    /// Two bytes, big endian.
    pub const U16BE: Self = Self::Length(LengthPrefix::new(Width::Two, Endian::Big));
    /// Two bytes, little endian.
    pub const U16LE: Self = Self::Length(LengthPrefix::new(Width::Two, Endian::Little));
    /// Three bytes, big endian.
    pub const U24BE: Self = Self::Length(LengthPrefix::new(Width::Three, Endian::Big));
    /// Four bytes, big endian: the default of echo and chat.
    pub const U32BE: Self = Self::Length(LengthPrefix::new(Width::Four, Endian::Big));
    /// Four bytes, little endian.
    pub const U32LE: Self = Self::Length(LengthPrefix::new(Width::Four, Endian::Little));
    /// Eight bytes, big endian.
    pub const U64BE: Self = Self::Length(LengthPrefix::new(Width::Eight, Endian::Big));
}

/// What the bytes from a frame's first on say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cut {
    /// Its end is not known yet: this many bytes, counted from its first, are needed to go on.
    Head(usize),
    /// Its end is known, whether or not it has arrived.
    Frame(Bounds),
}

/// Where a frame and its payload lie, counted from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    payload_start: usize,
    payload_end: usize,
    /// One past the frame's last byte: the payload's end, or the end of the line feed after it.
    end: usize,
}

impl Bounds {
    const fn payload(&self) -> Range<usize> {
        self.payload_start..self.payload_end
    }
}

/// Applies `framing` to `bytes`, which begin where a frame begins. The first `seen` of them were here before and held no end.
#[inline]
fn cut(framing: &Framing, bytes: &[u8], seen: usize, max_frame_bytes: usize) -> Result<Cut, FrameError> {
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
            return length::bounds(declared, at + 1, max_frame_bytes, bytes).map(Cut::Frame);
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
