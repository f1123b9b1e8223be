//! Length prefixes of fixed width, with the options that existing protocols need: the field may
//! follow other bytes, may count more or less than the payload, and may be part of the payload.
//!
//! The options are those of tokio-util's `LengthDelimitedCodec` and Netty's
//! `LengthFieldBasedFrameDecoder`. Where these differ, tokio-util's meaning applies.

use super::bounds::{Scan, bounds, too_large};
use super::error::FrameError;

/// The width of the length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    One = 1,
    /// 16 bits.
    Two = 2,
    /// 24 bits.
    Three = 3,
    /// 32 bits.
    Four = 4,
    /// 64 bits.
    Eight = 8,
}

impl Width {
    /// Returns the width in bytes.
    pub const fn bytes(self) -> usize {
        self as usize
    }

    /// Returns the largest value that the field holds.
    pub const fn max_value(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// The byte order of the length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Most significant first: network order.
    Big,
    /// Least significant first.
    Little,
}

/// A length field: its width, byte order and position in the frame.
///
/// A frame has `num_skip + field + adjustment` bytes; its payload starts after the first
/// `num_skip`. Without options, the field comes first, counts the payload alone, and is not part of
/// the payload.
///
/// ```
/// use switchboard::{Endian, FrameDecoder, Framing, LengthPrefix, Width};
/// // The 16-bit length follows a type byte and counts itself and that byte. The payload is the
/// // whole frame.
/// let prefix = LengthPrefix::new(Width::Two, Endian::Big).offset(1).num_skip(0);
/// let mut decoder = FrameDecoder::new(Framing::Length(prefix), 1024);
/// let mut wire = &b"T\0\x05hi"[..];
/// assert_eq!(decoder.decode(&mut wire)?, Some(&b"T\0\x05hi"[..]));
/// # Ok::<(), switchboard::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefix {
    width: Width,
    endian: Endian,
    offset: u16,
    skip: Option<u16>,
    adjustment: i32,
}

impl LengthPrefix {
    /// Returns a field at the frame's start that counts the payload.
    pub const fn new(width: Width, endian: Endian) -> Self {
        Self { width, endian, offset: 0, skip: None, adjustment: 0 }
    }

    /// Sets the number of bytes before the length field (`length_field_offset`).
    #[must_use]
    pub const fn offset(self, bytes: u16) -> Self {
        Self { offset: bytes, ..self }
    }

    /// Sets the number to add to the field's value to get the payload's length
    /// (`length_adjustment`).
    #[must_use]
    pub const fn adjustment(self, bytes: i32) -> Self {
        Self { adjustment: bytes, ..self }
    }

    /// Sets the number of bytes at the frame's start that are not payload (`num_skip`, Netty's
    /// `initialBytesToStrip`). The default is all bytes up to the length field's end.
    #[must_use]
    pub const fn num_skip(self, bytes: u16) -> Self {
        Self { skip: Some(bytes), ..self }
    }

    /// Returns width, byte order, offset, adjustment and skip.
    pub(super) const fn parts(&self) -> (Width, Endian, u16, i32, Option<u16>) {
        (self.width, self.endian, self.offset, self.adjustment, self.skip)
    }

    /// Returns the length of the frame's header: one past the length field's last byte.
    #[inline]
    pub(super) const fn header_bytes(&self) -> usize {
        self.offset as usize + self.width.bytes()
    }

    /// Returns the number of bytes before the payload.
    #[inline]
    pub(super) const fn skipped_bytes(&self) -> usize {
        match self.skip {
            Some(bytes) => bytes as usize,
            None => self.header_bytes(),
        }
    }

    /// Returns true if a frame consists of the field and the payload that it counts.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.offset == 0 && self.adjustment == 0 && self.skip.is_none()
    }

    /// Finds the frame at the start of `bytes`.
    #[inline]
    pub(super) fn scan(&self, bytes: &[u8], max_frame_bytes: usize) -> Result<Scan, FrameError> {
        let header_bytes = self.header_bytes();
        let Some(field) = bytes.get(self.offset as usize..header_bytes) else {
            return Ok(Scan::NeedBytes(header_bytes));
        };
        let field = self.read(field);
        if self.is_plain() {
            return bounds(field, header_bytes, max_frame_bytes, bytes).map(Scan::Frame);
        }
        let too_short = FrameError::TooShort { declared: field };
        let payload = match field.checked_add_signed(self.adjustment.into()) {
            Some(payload) => payload,
            None if self.adjustment < 0 => return Err(too_short),
            None => return Err(too_large(u64::MAX, max_frame_bytes, bytes)),
        };
        let bounds = bounds(payload, self.skipped_bytes(), max_frame_bytes, bytes)?;
        // Otherwise the next frame would begin inside this frame's header.
        if bounds.end < header_bytes { Err(too_short) } else { Ok(Scan::Frame(bounds)) }
    }

    /// Reads the value of `field`, which has the prefix's width.
    #[inline]
    fn read(&self, field: &[u8]) -> u64 {
        match (field, self.endian) {
            (&[a, b, c, d], Endian::Big) => u32::from_be_bytes([a, b, c, d]).into(),
            (_, Endian::Big) => field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            (_, Endian::Little) => field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        }
    }

    /// Appends `value` to `out` in the prefix's width and byte order.
    #[inline]
    pub(super) fn append(&self, value: u64, out: &mut Vec<u8>) {
        if let (Width::Four, Endian::Big) = (self.width, self.endian) {
            // The default framing: one store.
            let [_, _, _, _, bytes @ ..] = value.to_be_bytes();
            out.extend_from_slice(&bytes);
        } else {
            let start = out.len();
            out.resize(start + self.width.bytes(), 0);
            self.write(value, out.get_mut(start..).unwrap_or_default());
        }
    }

    /// Writes `value` into `field`, which has the prefix's width.
    pub(super) fn write(&self, value: u64, field: &mut [u8]) {
        let (big, little) = (value.to_be_bytes(), value.to_le_bytes());
        let bytes = match self.endian {
            Endian::Big => big.get(8 - self.width.bytes()..),
            Endian::Little => little.get(..self.width.bytes()),
        };
        field.copy_from_slice(bytes.unwrap_or_default());
    }
}
