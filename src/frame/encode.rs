//! From payload to frame: the exact inverse of decoding, so that what a decoder gave can be sent as it was.
//!
//! Bytes that decoding skips and that carry no length are written as zero. Where decoding keeps the length field as part of
//! the payload, encoding puts the right value over it.

use super::cut::MAX_VARINT_BYTES;
use super::error::EncodeError;
use super::framing::Framing;
use super::length::LengthPrefix;

/// Appends `payload` as a frame to `out`. An empty payload makes an empty frame. On an error `out` is as it was.
///
/// # Errors
/// [`EncodeError`] when the framing cannot carry the payload: it is longer than the prefix can say, or holds a line feed.
#[inline]
pub fn encode(framing: Framing, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match framing {
        Framing::Length(prefix) if prefix.is_plain() => {
            let value = fitting(&prefix, payload.len())?;
            out.reserve(size_of_val(&value) + payload.len());
            prefix.append(value, out);
            out.extend_from_slice(payload);
            Ok(())
        }
        _ => encode_general(framing, payload, out),
    }
}

impl Framing {
    /// Whether it can carry whatever has so many bytes. Lines cannot carry a line feed.
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

/// The payload's length, if a plain prefix can say it.
#[inline]
fn fitting(prefix: &LengthPrefix, payload_bytes: usize) -> Result<u64, EncodeError> {
    let max_bytes = prefix.parts().0.max_value();
    let value = payload_bytes as u64;
    if value > max_bytes { Err(EncodeError::TooLong { payload_bytes, max_bytes }) } else { Ok(value) }
}

fn encode_general(framing: Framing, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match head(framing, payload)? {
        Some(head) => {
            out.reserve(head.bytes().len() + payload.len() + head.tail().len());
            out.extend_from_slice(head.bytes());
            out.extend_from_slice(payload);
            out.extend_from_slice(head.tail());
            Ok(())
        }
        None => match framing {
            Framing::Length(prefix) => encode_with_options(&prefix, payload, out),
            Framing::Varint | Framing::Lines | Framing::Raw => Ok(()),
        },
    }
}

/// What stands before and after a payload that is itself sent as it is.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    bytes: [u8; MAX_VARINT_BYTES],
    len: u8,
    tail_len: u8,
}

impl Head {
    const EMPTY: Self = Self { bytes: [0; MAX_VARINT_BYTES], len: 0, tail_len: 0 };

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    #[inline]
    pub(crate) const fn tail(&self) -> &'static [u8] {
        match self.tail_len {
            0 => b"",
            1 => b"\n",
            _ => b"\r\n",
        }
    }
}

/// The head of `payload`'s frame, or `None` where head and payload overlap and only [`encode`] will do.
pub(crate) fn head(framing: Framing, payload: &[u8]) -> Result<Option<Head>, EncodeError> {
    let mut head = Head::EMPTY;
    match framing {
        Framing::Length(prefix) if prefix.is_plain() => {
            let (width, ..) = prefix.parts();
            let value = fitting(&prefix, payload.len())?;
            head.len = width as u8;
            prefix.write(value, head.bytes.get_mut(..width.bytes()).unwrap_or_default());
        }
        Framing::Length(_) => return Ok(None),
        Framing::Varint => {
            let mut rest = payload.len() as u64;
            for byte in &mut head.bytes {
                head.len += 1;
                *byte = (rest & 0x7f) as u8;
                rest >>= 7;
                if rest == 0 {
                    break;
                }
                *byte |= 0x80;
            }
        }
        Framing::Lines if memchr::memchr(b'\n', payload).is_some() => return Err(EncodeError::LineFeedInLine),
        // The payload's own carriage return at its end would be taken for the line's, were it the only one.
        Framing::Lines => head.tail_len = 1 + u8::from(payload.last() == Some(&b'\r')),
        Framing::Raw => {}
    }
    Ok(Some(head))
}

fn encode_with_options(prefix: &LengthPrefix, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (width, _, offset, adjustment, _) = prefix.parts();
    let (skipped, head_bytes) = (prefix.skipped_bytes(), prefix.head_bytes());
    let max_bytes = width.max_value().saturating_add_signed(adjustment.into());
    let min_bytes = u64::try_from(adjustment).unwrap_or(0).max(head_bytes.saturating_sub(skipped) as u64);
    let (payload_bytes, length) = (payload.len(), payload.len() as u64);
    if length < min_bytes {
        return Err(EncodeError::TooShort { payload_bytes, min_bytes });
    }
    let value = length.saturating_add_signed(-i64::from(adjustment));
    // The value, not the length, is held against the width: a large negative adjustment leaves no room even for nothing.
    if value > width.max_value() {
        return Err(EncodeError::TooLong { payload_bytes, max_bytes });
    }
    let start = out.len();
    out.resize(start + skipped, 0);
    out.extend_from_slice(payload);
    let field = start + usize::from(offset)..start + head_bytes;
    prefix.write(value, out.get_mut(field).unwrap_or_default());
    Ok(())
}
