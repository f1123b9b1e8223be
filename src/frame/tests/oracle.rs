//! A parser that has the whole stream in hand and no reason to be clever. It describes framings in its own way and shares no
//! code with the decoder, so that both can only agree by being right.

use super::super::{Endian, Framing, LengthPrefix, Width};
use crate::frame::FrameError;

/// A framing, as the oracle knows it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Length { width: Width, endian: Endian, offset: u16, adjustment: i32, skip: Option<u16> },
    Varint,
    Lines,
}

/// What a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) end: End,
}

/// How a stream ends, after its last whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Between,
    Within { received: usize },
    Bad(FrameError),
}

pub(super) const fn length(width: Width, endian: Endian) -> Rule {
    Rule::Length { width, endian, offset: 0, adjustment: 0, skip: None }
}

impl Rule {
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

    pub(super) fn read(self, max: usize, stream: &[u8]) -> Reading {
        let mut payloads = Vec::new();
        let mut rest = stream;
        let end = loop {
            if rest.is_empty() {
                break End::Between;
            }
            match self.read_one(max, rest) {
                Ok(Some((payload, frame_bytes))) => {
                    payloads.push(payload.to_vec());
                    rest = &rest[frame_bytes..];
                }
                Ok(None) => break End::Within { received: rest.len() },
                Err(error) => break End::Bad(error),
            }
        };
        Reading { payloads, end }
    }

    /// The payload at the front of `bytes` and the length of its frame.
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

/// A line without the carriage return that ends it, if one does.
pub(super) fn last_line(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The length of a frame of `payload` bytes after `skip` others, if it is allowed, and if memory could ever hold it.
fn frame_bytes(skip: usize, payload: i128, max_frame_bytes: usize) -> Result<usize, FrameError> {
    let frame = usize::try_from(payload + i128::try_from(skip).unwrap());
    frame.ok().filter(|_| payload <= i128::try_from(max_frame_bytes).unwrap()).ok_or_else(|| {
        let declared_bytes = u64::try_from(payload).unwrap_or(u64::MAX);
        FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
    })
}

/// The error without its guess, which depends on how much had arrived.
pub(super) fn without_hint(error: FrameError) -> FrameError {
    match error {
        FrameError::TooLarge { declared_bytes, max_frame_bytes, .. } => {
            FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
        }
        other => other,
    }
}
