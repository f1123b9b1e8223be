//! The rules that cut a byte stream into payloads.

use super::length::{Endian, LengthPrefix, Width};

/// The largest payload of [`Framing::Raw`], in bytes.
pub const MAX_RAW_BYTES: usize = 64 * 1024;

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
/// let mut input = &wire[..5]; // a read may end anywhere in a frame
/// assert_eq!(decoder.decode(&mut input)?, None);
/// let mut input = &wire[5..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"hi"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An integer of fixed width gives the payload's length.
    Length(LengthPrefix),
    /// A base-128 varint gives the payload's length, least significant group first, as in Protocol
    /// Buffers' delimited messages.
    Varint,
    /// A line feed ends the payload. A carriage return before it is part of the line ending. The
    /// last line of a stream may lack both.
    Lines,
    /// No frames: the bytes of one read are one payload, of at most [`MAX_RAW_BYTES`].
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
