//! Feeds a decoder any stream with any framing and limit, in any pieces:
//!
//! - the memory that it holds is bounded by the bytes received, and is 0 between frames;
//! - the payloads do not depend on the pieces;
//! - each payload can be encoded again, and the decoder returns it again.

use super::script::Script;
use crate::frame::{Endian, FrameDecoder, FrameError, Framing, LengthPrefix, MAX_RAW_BYTES, Width, encode};

/// The output of a decoder for a stream.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    payloads: Vec<Vec<u8>>,
    error: Option<FrameError>,
    unfinished_bytes: Option<usize>,
    last: Option<Vec<u8>>,
}

/// Runs the target `decoder`.
pub fn decoder(input: &[u8]) {
    let mut script = Script::new(input);
    let framing = framing(&mut script);
    let limit = match script.byte() {
        0 => usize::MAX,
        bytes @ 1..128 => usize::from(bytes - 1),
        _ => usize::from(script.number()),
    };
    // A piece goes through `spare` instead of `decode` if its bit is set.
    let (direct, cuts) = (script.byte(), script.cuts());
    let stream = script.rest();
    let whole = read(framing, limit, &[stream], 0);
    let cut = read(framing, limit, &cuts.pieces(stream), direct);
    if framing == Framing::Raw {
        // Raw payloads depend on the pieces; their concatenation does not.
        let all = if limit == 0 { &[] } else { stream };
        for decoded in [&whole, &cut] {
            assert_eq!(decoded.payloads.concat(), all);
            assert!(decoded.payloads.iter().all(|payload| (1..=limit.min(MAX_RAW_BYTES)).contains(&payload.len())));
            assert_eq!(decoded.error.is_some(), limit == 0 && !stream.is_empty());
        }
    } else {
        assert_eq!(whole, cut);
        encode_again(framing, limit, &whole.payloads);
    }
}

fn framing(script: &mut Script<'_>) -> Framing {
    let which = usize::from(script.byte());
    if let Some((_, framing)) = Framing::NAMES.get(which % 16) {
        return *framing;
    }
    let width = script.choose(&[Width::One, Width::Two, Width::Three, Width::Four, Width::Eight]);
    let endian = if which & 16 == 0 { Endian::Big } else { Endian::Little };
    let adjustment = i32::from(script.number().cast_signed());
    let prefix = LengthPrefix::new(width, endian).offset(script.byte().into()).adjustment(adjustment);
    Framing::Length(if which & 32 == 0 { prefix } else { prefix.num_skip(script.byte().into()) })
}

fn read(framing: Framing, limit: usize, pieces: &[&[u8]], direct: u8) -> Decoded {
    let mut decoder = FrameDecoder::new(framing, limit);
    let mut result = Decoded::default();
    for (number, piece) in pieces.iter().enumerate() {
        let mut piece = *piece;
        if direct & 1 << (number % 8) != 0 {
            let spare = decoder.spare();
            let bytes = spare.len().min(piece.len());
            spare[..bytes].copy_from_slice(&piece[..bytes]);
            decoder.filled(bytes);
            piece = &piece[bytes..];
        }
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(payload)) => {
                    assert!(payload.len() <= limit);
                    result.payloads.push(payload.to_vec());
                }
                Ok(None) => break,
                Err(error) => {
                    result.error = Some(without_hint(error, result.payloads.is_empty()));
                    return result;
                }
            }
        }
        assert!(piece.is_empty());
        let received = decoder.unfinished_bytes();
        assert!(decoder.held_bytes() <= received.map_or(0, |received| 2 * received + 64));
    }
    result.unfinished_bytes = decoder.unfinished_bytes();
    result.last = decoder.finish().map(<[u8]>::to_vec);
    result
}

/// Returns the error without its hint, which depends on the bytes that had arrived. Only a stream's
/// first frame may have a hint.
fn without_hint(error: FrameError, is_first: bool) -> FrameError {
    match error {
        FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like } => {
            assert!(looks_like.is_none() || is_first);
            FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
        }
        other => other,
    }
}

/// Checks that every decoded payload can be encoded again. Bytes that decoding skips may differ.
fn encode_again(framing: Framing, limit: usize, payloads: &[Vec<u8>]) {
    let mut wire = Vec::new();
    for payload in payloads {
        encode(framing, payload, &mut wire).expect("a decoded payload can be encoded");
    }
    let again = read(framing, limit, &[&wire], 0);
    assert_eq!((&again.payloads[..], again.error, again.unfinished_bytes), (payloads, None, None));
}
