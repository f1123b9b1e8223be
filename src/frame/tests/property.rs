//! The decoder against the oracle: on any stream, split at any places, both agree after every
//! piece.

use proptest::prelude::*;

use super::super::{Endian, Width, encode};
use super::oracle::{OracleFraming, StreamEnd, last_line, without_hint};
use super::{FeedMode, TestDecoder};

pub(super) fn any_rule() -> impl Strategy<Value = OracleFraming> {
    let width = prop::sample::select(vec![Width::One, Width::Two, Width::Three, Width::Four, Width::Eight]);
    let endian = prop::sample::select(vec![Endian::Big, Endian::Little]);
    let adjustment = prop_oneof![2 => Just(0), 2 => -8..9i32, 1 => -300..300i32];
    let plain = (width.clone(), endian.clone()).prop_map(|(width, endian)| super::oracle::length(width, endian));
    let with_options = (width, endian, 0..6u16, adjustment, prop::option::of(0..14u16)).prop_map(
        |(width, endian, offset, adjustment, skip)| OracleFraming::Length { width, endian, offset, adjustment, skip },
    );
    prop_oneof![3 => plain, 4 => with_options, 2 => Just(OracleFraming::Varint), 2 => Just(OracleFraming::Lines)]
}

/// A part of a stream: a frame, if the framing can carry the payload, or bytes that often decode as
/// something.
#[derive(Clone, Debug)]
enum StreamPart {
    Frame(Vec<u8>),
    Bytes(Vec<u8>),
    /// A header that declares this length, whatever follows it.
    Header(u64),
}

/// Returns a header as it stands on the wire, built without the code under test.
fn header(rule: OracleFraming, declared: u64) -> Vec<u8> {
    match rule {
        OracleFraming::Length { width, endian, offset, .. } => {
            let mut field = declared.to_le_bytes()[..width.bytes()].to_vec();
            if endian == Endian::Big {
                field.reverse();
            }
            [vec![b'.'; offset.into()], field].concat()
        }
        // The longest varint, padded.
        OracleFraming::Varint => {
            (0..10).map(|at| (declared >> (7 * at)).to_le_bytes()[0] & 0x7f | if at < 9 { 0x80 } else { 0 }).collect()
        }
        OracleFraming::Lines => vec![b'\r'; usize::try_from(declared % 3).unwrap()],
    }
}

fn any_part() -> impl Strategy<Value = StreamPart> {
    let bytes = |byte: BoxedStrategy<u8>, most| prop::collection::vec(byte, 0..most).prop_map(StreamPart::Bytes);
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..40).prop_map(StreamPart::Frame),
        2 => prop::collection::vec(b'a'..=b'z', 100..200).prop_map(StreamPart::Frame),
        2 => prop_oneof![4 => 0..20u64, 1 => u64::MAX - 9..=u64::MAX, 1 => any::<u64>()].prop_map(StreamPart::Header),
        1 => bytes(any::<u8>().boxed(), 20),
        1 => bytes((0..4u8).boxed(), 20),
        1 => bytes(prop::sample::select(&b"\r\na"[..]).boxed(), 20),
        1 => bytes(prop::sample::select(&[0x80, 0x80, 0xff, 0x02, 0x00][..]).boxed(), 20),
    ]
}

fn any_limit() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(1 << 20), 1 => 0..8usize, 2 => 0..60usize, 1 => Just(usize::MAX)]
}

/// Lengths of pieces: single bytes, small reads, large reads.
fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        1 => Just(vec![1]),
        3 => prop::collection::vec(0..12usize, 1..20),
        1 => prop::collection::vec(0..300usize, 1..4),
    ]
    .prop_filter("pieces must make progress", |cuts| cuts.iter().any(|cut| *cut > 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn decoder_and_oracle_agree_after_every_piece(
        rule in any_rule(),
        parts in prop::collection::vec(any_part(), 0..8),
        limit in any_limit(),
        cuts in any_cuts(),
        modes in prop::collection::vec(prop::bool::ANY, 1..8),
    ) {
        let mut stream = Vec::new();
        for part in parts {
            match part {
                StreamPart::Frame(payload) => drop(encode(rule.framing(), &payload, &mut stream)),
                StreamPart::Bytes(bytes) => stream.extend(bytes),
                StreamPart::Header(declared) => stream.extend(header(rule, declared)),
            }
        }
        let mut reader = TestDecoder::new(rule.framing(), limit);
        let (mut fed, mut cuts, mut modes) = (0, cuts.iter().cycle(), modes.iter().cycle());
        while fed < stream.len() {
            let end = stream.len().min(fed + cuts.next().unwrap());
            let mode = if *modes.next().unwrap() { FeedMode::Direct } else { FeedMode::Copied };
            reader.feed(&stream[fed..end], mode);
            fed = end;

            let expected = rule.read(limit, &stream[..fed]);
            prop_assert_eq!(&reader.payloads, &expected.payloads, "after {} bytes", fed);
            match expected.end {
                StreamEnd::Bad(error) => {
                    prop_assert_eq!(reader.error.map(without_hint), Some(error), "after {} bytes", fed);
                    // Later calls have no meaning, but they must not panic.
                    for mut more in [&b""[..], b"\0\0", b"a\n"] {
                        let _ = reader.decoder.decode(&mut more);
                        reader.decoder.spare();
                        reader.decoder.finish();
                    }
                    return Ok(());
                }
                StreamEnd::Between => prop_assert_eq!(reader.decoder.unfinished_bytes(), None, "after {} bytes", fed),
                StreamEnd::Within { received } => {
                    prop_assert_eq!(reader.decoder.unfinished_bytes(), Some(received), "after {} bytes", fed);
                }
            }
            prop_assert_eq!(reader.error, None, "after {} bytes", fed);
        }
        let last = stream.rsplit(|byte| *byte == b'\n').next().filter(|last| !last.is_empty()).map(last_line);
        prop_assert_eq!(reader.decoder.finish(), if matches!(rule, OracleFraming::Lines) { last } else { None });
    }
}
