//! Prefixes of fixed width, with the options that real protocols need: a field that is not first, counts more or less than
//! the payload, or is kept as part of it. The options are those of tokio-util's `LengthDelimitedCodec` and Netty's
//! `LengthFieldBasedFrameDecoder`; where the two differ, tokio-util's meaning is used.

use super::bounds::{Cut, bounds, too_large};
use super::error::FrameError;

/// Bytes of the length field.
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
    /// The width in bytes.
    pub const fn bytes(self) -> usize {
        self as usize
    }

    /// The largest value that the field holds.
    pub const fn max_value(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// Order of the length field's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Most significant first: network order.
    Big,
    /// Least significant first.
    Little,
}

/// A length field and where it stands.
///
/// A frame is `num_skip + field + adjustment` bytes; its payload is what follows the first `num_skip`. Without options the
/// field comes first, counts the payload alone, and is skipped.
///
/// ```
/// use switchboard::{Endian, FrameDecoder, Framing, LengthPrefix, Width};
/// // A protocol whose 16-bit length follows a type byte, counts itself and the type, and whose users want all of it:
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
    /// A field at the frame's start that counts the payload.
    pub const fn new(width: Width, endian: Endian) -> Self {
        Self { width, endian, offset: 0, skip: None, adjustment: 0 }
    }

    /// Bytes before the length field (`length_field_offset`).
    #[must_use]
    pub const fn offset(self, bytes: u16) -> Self {
        Self { offset: bytes, ..self }
    }

    /// What to add to the field's value to get the payload's length (`length_adjustment`).
    #[must_use]
    pub const fn adjustment(self, bytes: i32) -> Self {
        Self { adjustment: bytes, ..self }
    }

    /// Bytes at the frame's start that are not payload (`num_skip`, Netty's `initialBytesToStrip`); without it, all up to the
    /// length field's end.
    #[must_use]
    pub const fn num_skip(self, bytes: u16) -> Self {
        Self { skip: Some(bytes), ..self }
    }

    pub(super) const fn parts(&self) -> (Width, Endian, u16, i32, Option<u16>) {
        (self.width, self.endian, self.offset, self.adjustment, self.skip)
    }

    /// One past the length field's last byte.
    #[inline]
    pub(super) const fn head_bytes(&self) -> usize {
        self.offset as usize + self.width.bytes()
    }

    #[inline]
    pub(super) const fn skipped_bytes(&self) -> usize {
        match self.skip {
            Some(bytes) => bytes as usize,
            None => self.head_bytes(),
        }
    }

    /// Whether the frame is nothing but the field and a payload that it counts.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.offset == 0 && self.adjustment == 0 && self.skip.is_none()
    }

    #[inline]
    pub(super) fn cut(&self, bytes: &[u8], max_frame_bytes: usize) -> Result<Cut, FrameError> {
        let head_bytes = self.head_bytes();
        let Some(field) = bytes.get(self.offset as usize..head_bytes) else {
            return Ok(Cut::Head(head_bytes));
        };
        let field = self.read(field);
        if self.is_plain() {
            return bounds(field, head_bytes, max_frame_bytes, bytes).map(Cut::Frame);
        }
        let too_short = FrameError::TooShort { declared: field };
        let payload = match field.checked_add_signed(self.adjustment.into()) {
            Some(payload) => payload,
            None if self.adjustment < 0 => return Err(too_short),
            None => return Err(too_large(u64::MAX, max_frame_bytes, bytes)),
        };
        let bounds = bounds(payload, self.skipped_bytes(), max_frame_bytes, bytes)?;
        // Were it allowed, the next frame would begin within this one's head.
        if bounds.end < head_bytes { Err(too_short) } else { Ok(Cut::Frame(bounds)) }
    }

    #[inline]
    fn read(&self, field: &[u8]) -> u64 {
        match (field, self.endian) {
            (&[a, b, c, d], Endian::Big) => u32::from_be_bytes([a, b, c, d]).into(),
            (_, Endian::Big) => field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            (_, Endian::Little) => field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        }
    }

    /// Appends `value` as wide as the width says.
    #[inline]
    pub(super) fn append(&self, value: u64, out: &mut Vec<u8>) {
        if let (Width::Four, Endian::Big) = (self.width, self.endian) {
            // The one that most connections use, as one store.
            let [_, _, _, _, bytes @ ..] = value.to_be_bytes();
            out.extend_from_slice(&bytes);
        } else {
            let start = out.len();
            out.resize(start + self.width.bytes(), 0);
            self.write(value, out.get_mut(start..).unwrap_or_default());
        }
    }

    /// Writes `value` into `field`, which is as wide as the width says.
    pub(super) fn write(&self, value: u64, field: &mut [u8]) {
        let (big, little) = (value.to_be_bytes(), value.to_le_bytes());
        let bytes = match self.endian {
            Endian::Big => big.get(8 - self.width.bytes()..),
            Endian::Little => little.get(..self.width.bytes()),
        };
        field.copy_from_slice(bytes.unwrap_or_default());
    }
}
