//! Encodes payloads as frames: the exact inverse of decoding, so that a decoded payload can be sent
//! again unchanged.
//!
//! Skipped bytes outside the length field are written as zero. If the length field is part of the
//! payload, encoding overwrites it with the right value.

use super::error::EncodeError;
use super::framing::Framing;
use super::length::LengthPrefix;
use super::scan::MAX_VARINT_BYTES;

/// Appends `payload` as a frame to `out`. An empty payload makes an empty frame. On an error `out`
/// is unchanged.
///
/// # Errors
/// [`EncodeError`] if the framing cannot carry the payload: its length does not fit the prefix, or
/// it contains a line feed.
#[inline]
pub fn encode(framing: Framing, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match framing {
        Framing::Length(prefix) if prefix.is_plain() => {
            let value = length_value(&prefix, payload.len())?;
            out.reserve(size_of_val(&value) + payload.len());
            prefix.append(value, out);
            out.extend_from_slice(payload);
            Ok(())
        }
        _ => encode_general(framing, payload, out),
    }
}

impl Framing {
    /// Returns true if the framing can carry every payload of `payload_bytes` bytes. `Lines`
    /// cannot, because a payload may contain a line feed.
    ///
    /// ```
    /// use switchboard::Framing;
    /// assert!(Framing::U32BE.can_carry(1 << 20) && Framing::Raw.can_carry(1 << 20));
    /// assert!(!"u16be".parse::<Framing>()?.can_carry(1 << 20) && !Framing::Lines.can_carry(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn can_carry(self, payload_bytes: usize) -> bool {
        match self {
            Self::Length(prefix) => {
                let (width, _, _, adjustment, _) = prefix.parts();
                payload_bytes as u64 <= width.max_value().saturating_add_signed(adjustment.into())
            }
            Self::Varint | Self::Raw => true,
            Self::Lines => false,
        }
    }
}

/// Returns the payload's length as the value of a plain prefix.
#[inline]
fn length_value(prefix: &LengthPrefix, payload_bytes: usize) -> Result<u64, EncodeError> {
    let max_bytes = prefix.parts().0.max_value();
    let value = payload_bytes as u64;
    if value > max_bytes { Err(EncodeError::TooLong { payload_bytes, max_bytes }) } else { Ok(value) }
}

fn encode_general(framing: Framing, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match frame_header(framing, payload)? {
        Some(header) => {
            out.reserve(header.bytes().len() + payload.len() + header.trailer().len());
            out.extend_from_slice(header.bytes());
            out.extend_from_slice(payload);
            out.extend_from_slice(header.trailer());
            Ok(())
        }
        None => match framing {
            Framing::Length(prefix) => encode_with_options(&prefix, payload, out),
            Framing::Varint | Framing::Lines | Framing::Raw => Ok(()),
        },
    }
}

/// The bytes of a frame before and after its payload.
#[derive(Clone, Copy)]
pub(crate) struct FrameHeader {
    bytes: [u8; MAX_VARINT_BYTES],
    len: u8,
    /// Length of the line ending after the payload: 0 to 2.
    trailer_len: u8,
}

impl FrameHeader {
    const EMPTY: Self = Self { bytes: [0; MAX_VARINT_BYTES], len: 0, trailer_len: 0 };

    /// Returns the bytes before the payload.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// Returns the bytes after the payload.
    #[inline]
    pub(crate) const fn trailer(&self) -> &'static [u8] {
        match self.trailer_len {
            0 => b"",
            1 => b"\n",
            _ => b"\r\n",
        }
    }
}

/// Returns the header of `payload`'s frame; `None` if header and payload overlap, so that only
/// [`encode`] can build the frame.
pub(crate) fn frame_header(framing: Framing, payload: &[u8]) -> Result<Option<FrameHeader>, EncodeError> {
    let mut header = FrameHeader::EMPTY;
    match framing {
        Framing::Length(prefix) if prefix.is_plain() => {
            let (width, ..) = prefix.parts();
            let value = length_value(&prefix, payload.len())?;
            header.len = width as u8;
            prefix.write(value, header.bytes.get_mut(..width.bytes()).unwrap_or_default());
        }
        Framing::Length(_) => return Ok(None),
        Framing::Varint => {
            let mut rest = payload.len() as u64;
            for byte in &mut header.bytes {
                header.len += 1;
                *byte = (rest & 0x7f) as u8;
                rest >>= 7;
                if rest == 0 {
                    break;
                }
                *byte |= 0x80;
            }
        }
        Framing::Lines if memchr::memchr(b'\n', payload).is_some() => return Err(EncodeError::LineFeedInLine),
        // A carriage return at the payload's end would be read as part of a lone line feed, so such
        // a line ends with both.
        Framing::Lines => header.trailer_len = 1 + u8::from(payload.last() == Some(&b'\r')),
        Framing::Raw => {}
    }
    Ok(Some(header))
}

fn encode_with_options(prefix: &LengthPrefix, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (width, _, offset, adjustment, _) = prefix.parts();
    let (skipped, header_bytes) = (prefix.skipped_bytes(), prefix.header_bytes());
    let max_bytes = width.max_value().saturating_add_signed(adjustment.into());
    let min_bytes = u64::try_from(adjustment).unwrap_or(0).max(header_bytes.saturating_sub(skipped) as u64);
    let (payload_bytes, length) = (payload.len(), payload.len() as u64);
    if length < min_bytes {
        return Err(EncodeError::TooShort { payload_bytes, min_bytes });
    }
    let value = length.saturating_add_signed(-i64::from(adjustment));
    // The field's value is compared, not the payload's length: with a large negative adjustment
    // even an empty payload does not fit.
    if value > width.max_value() {
        return Err(EncodeError::TooLong { payload_bytes, max_bytes });
    }
    let start = out.len();
    out.resize(start + skipped, 0);
    out.extend_from_slice(payload);
    let field = start + usize::from(offset)..start + header_bytes;
    prefix.write(value, out.get_mut(field).unwrap_or_default());
    Ok(())
}
