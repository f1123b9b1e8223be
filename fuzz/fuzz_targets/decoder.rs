//! Feeds a decoder any stream with any framing and limit, in any pieces, and checks its invariants:
//!
//! - it does not panic and does not loop for ever;
//! - the memory that it holds is bounded by the bytes received, and is 0 between frames;
//! - the payloads do not depend on the pieces;
//! - each payload can be encoded again, and the decoder returns it again.
//!
//! `cargo +nightly fuzz run decoder -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use switchboard::{Endian, FrameDecoder, FrameError, Framing, LengthPrefix, MAX_RAW_BYTES, Width, encode};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    framing: AnyFraming,
    limit: AnyLimit,
    /// The length of each piece, repeated; the top bit selects `spare` over `decode`.
    cuts: [u8; 6],
    stream: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum AnyFraming {
    Named(u8),
    Length { width: u8, little: bool, offset: u8, adjustment: i16, skip: Option<u8> },
}

#[derive(Arbitrary, Debug)]
enum AnyLimit {
    Bytes(u8),
    Many(u16),
    None,
}

impl AnyFraming {
    fn framing(&self) -> Framing {
        match *self {
            Self::Named(which) => Framing::NAMES[usize::from(which) % Framing::NAMES.len()].1,
            Self::Length { width, little, offset, adjustment, skip } => {
                let widths = [Width::One, Width::Two, Width::Three, Width::Four, Width::Eight];
                let endian = if little { Endian::Little } else { Endian::Big };
                let prefix = LengthPrefix::new(widths[usize::from(width) % widths.len()], endian)
                    .offset(offset.into())
                    .adjustment(adjustment.into());
                Framing::Length(skip.map_or(prefix, |skip| prefix.num_skip(skip.into())))
            }
        }
    }
}

impl AnyLimit {
    fn bytes(&self) -> usize {
        match *self {
            Self::Bytes(bytes) => bytes.into(),
            Self::Many(bytes) => bytes.into(),
            Self::None => usize::MAX,
        }
    }
}

/// The output of a decoder for a stream.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    payloads: Vec<Vec<u8>>,
    error: Option<FrameError>,
    unfinished_bytes: Option<usize>,
    last: Option<Vec<u8>>,
}

fuzz_target!(|input: Input<'_>| {
    let (framing, limit) = (input.framing.framing(), input.limit.bytes());
    let whole = read(framing, limit, [(input.stream, false)]);
    let cut = read(framing, limit, pieces(input.stream, &input.cuts));
    if framing == Framing::Raw {
        // Raw payloads depend on the pieces; their concatenation does not.
        let all = if limit == 0 { &[] } else { input.stream };
        for decoded in [&whole, &cut] {
            assert_eq!(decoded.payloads.concat(), all);
            assert!(decoded.payloads.iter().all(|payload| (1..=limit.min(MAX_RAW_BYTES)).contains(&payload.len())));
            assert_eq!(decoded.error.is_some(), limit == 0 && !input.stream.is_empty());
        }
    } else {
        assert_eq!(whole, cut);
        encode_again(framing, limit, &whole.payloads);
    }
});

/// Splits the stream into pieces, each with true if it goes through `spare`. The bytes after the
/// last cut are one piece.
fn pieces<'a>(mut stream: &'a [u8], cuts: &[u8]) -> Vec<(&'a [u8], bool)> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle().take(4096) {
        let (piece, rest) = stream.split_at(stream.len().min(usize::from(cut & 0x7f)));
        pieces.push((piece, cut & 0x80 != 0));
        stream = rest;
        if stream.is_empty() {
            break;
        }
    }
    pieces.push((stream, false));
    pieces
}

fn read<'a>(framing: Framing, limit: usize, pieces: impl IntoIterator<Item = (&'a [u8], bool)>) -> Decoded {
    let mut decoder = FrameDecoder::new(framing, limit);
    let mut decoded = Decoded::default();
    for (mut piece, direct) in pieces {
        if direct {
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
                    decoded.payloads.push(payload.to_vec());
                }
                Ok(None) => break,
                Err(error) => {
                    decoded.error = Some(without_hint(error, decoded.payloads.is_empty()));
                    return decoded;
                }
            }
        }
        assert!(piece.is_empty());
        let received = decoder.unfinished_bytes();
        assert!(decoder.held_bytes() <= received.map_or(0, |received| 2 * received + 64));
    }
    decoded.unfinished_bytes = decoder.unfinished_bytes();
    decoded.last = decoder.finish().map(<[u8]>::to_vec);
    decoded
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
    let again = read(framing, limit, [(&wire[..], false)]);
    assert_eq!((&again.payloads[..], again.error, again.unfinished_bytes), (payloads, None, None));
}
