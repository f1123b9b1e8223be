//! The oracle: a simple parser of whole streams. It shares no code with the decoder, so the two
//! agree only if both are right.

use super::super::{Endian, Framing, LengthPrefix, Width};
use crate::frame::FrameError;

/// A framing as the oracle describes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum OracleFraming {
    Length { width: Width, endian: Endian, offset: u16, adjustment: i32, skip: Option<u16> },
    Varint,
    Lines,
}

/// The oracle's result for a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OracleOutput {
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) end: StreamEnd,
}

/// The end of a stream after its last complete frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    Between,
    Within { received: usize },
    Bad(FrameError),
}

pub(super) const fn length(width: Width, endian: Endian) -> OracleFraming {
    OracleFraming::Length { width, endian, offset: 0, adjustment: 0, skip: None }
}

impl OracleFraming {
    pub(super) fn framing(self) -> Framing {
        match self {
            Self::Length { width, endian, offset, adjustment, skip } => {
                let prefix = LengthPrefix::new(width, endian).offset(offset).adjustment(adjustment);
                Framing::Length(skip.map_or(prefix, |skip| prefix.num_skip(skip)))
            }
            Self::Varint => Framing::Varint,
            Self::Lines => Framing::Lines,
        }
    }

    pub(super) fn read(self, max: usize, stream: &[u8]) -> OracleOutput {
        let mut payloads = Vec::new();
        let mut rest = stream;
        let end = loop {
            if rest.is_empty() {
                break StreamEnd::Between;
            }
            match self.read_one(max, rest) {
                Ok(Some((payload, frame_bytes))) => {
                    payloads.push(payload.to_vec());
                    rest = &rest[frame_bytes..];
                }
                Ok(None) => break StreamEnd::Within { received: rest.len() },
                Err(error) => break StreamEnd::Bad(error),
            }
        };
        OracleOutput { payloads, end }
    }

    /// Returns the payload at the front of `bytes` and the length of its frame.
    fn read_one(self, max: usize, bytes: &[u8]) -> Result<Option<(&[u8], usize)>, FrameError> {
        match self {
            Self::Length { width, endian, offset, adjustment, skip } => {
                let head = usize::from(offset) + width.bytes();
                if bytes.len() < head {
                    return Ok(None);
                }
                let mut field = bytes[usize::from(offset)..head].to_vec();
                if endian == Endian::Little {
                    field.reverse();
                }
                let declared = field.iter().fold(0i128, |value, byte| value * 256 + i128::from(*byte));
                let payload = declared + i128::from(adjustment);
                let skip = skip.map_or(head, usize::from);
                let too_short = FrameError::TooShort { declared: u64::try_from(declared).unwrap() };
                if payload < 0 {
                    return Err(too_short);
                }
                let frame = frame_bytes(skip, payload, max)?;
                if frame < head {
                    return Err(too_short);
                }
                Ok(bytes.get(skip..frame).map(|payload| (payload, frame)))
            }
            Self::Varint => {
                let mut declared = 0i128;
                for at in 0..10 {
                    let Some(byte) = bytes.get(at) else { return Ok(None) };
                    declared += i128::from(byte % 128) * 128i128.pow(u32::try_from(at).unwrap());
                    if declared > i128::from(u64::MAX) {
                        return Err(FrameError::VarintTooLong);
                    }
                    if *byte < 128 {
                        let frame = frame_bytes(at + 1, declared, max)?;
                        return Ok(bytes.get(at + 1..frame).map(|payload| (payload, frame)));
                    }
                }
                Err(FrameError::VarintTooLong)
            }
            Self::Lines => {
                let feed = bytes.iter().position(|byte| *byte == b'\n');
                let line = last_line(&bytes[..feed.unwrap_or(bytes.len())]);
                if line.len() > max {
                    return Err(FrameError::LineTooLong { max_frame_bytes: max });
                }
                Ok(feed.map(|feed| (line, feed + 1)))
            }
        }
    }
}

/// Returns a line without the carriage return at its end.
pub(super) fn last_line(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Returns the length of a frame whose `payload` bytes follow `skip` others, if the limit allows it
/// and `usize` can hold it.
fn frame_bytes(skip: usize, payload: i128, max_frame_bytes: usize) -> Result<usize, FrameError> {
    let frame = usize::try_from(payload + i128::try_from(skip).unwrap());
    frame.ok().filter(|_| payload <= i128::try_from(max_frame_bytes).unwrap()).ok_or_else(|| {
        let declared_bytes = u64::try_from(payload).unwrap_or(u64::MAX);
        FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
    })
}

/// Returns the error without its hint, which depends on the bytes that had arrived.
pub(super) fn without_hint(error: FrameError) -> FrameError {
    match error {
        FrameError::TooLarge { declared_bytes, max_frame_bytes, .. } => {
            FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
        }
        other => other,
    }
}
