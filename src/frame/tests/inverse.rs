//! Encoding and decoding are inverse to each other.

use proptest::prelude::*;

use super::super::{FrameDecoder, Framing, MAX_RAW_BYTES, encode};
use super::oracle::OracleFraming;
use super::property::any_rule;
use super::{FeedMode, TestDecoder, framing};
use crate::frame::EncodeError;

const LIMIT: usize = usize::MAX;

#[test]
fn encode_gives_the_wire_format_of_each_framing() {
    let cases: [(&str, &[u8], &[u8]); 19] = [
        ("u8", b"hi", b"\x02hi"),
        ("u8", b"", b"\0"),
        ("u16be", b"hi", b"\0\x02hi"),
        ("u16le", b"hi", b"\x02\0hi"),
        ("u24be", b"hi", b"\0\0\x02hi"),
        ("u32be", b"hi", b"\0\0\0\x02hi"),
        ("u32le", b"hi", b"\x02\0\0\0hi"),
        ("u64be", b"hi", b"\0\0\0\0\0\0\0\x02hi"),
        ("varint", b"hi", b"\x02hi"),
        ("lines", b"hi", b"hi\n"),
        ("lines", b"", b"\n"),
        ("raw", b"hi", b"hi"),
        ("raw", b"", b""),
        ("u8,offset=2", b"hi", b"\0\0\x02hi"),
        ("u16be,adjustment=-2", b"hi", b"\0\x04hi"),
        ("u16be,adjustment=2", b"hi", b"\0\0hi"),
        ("u8,offset=1,skip=4", b"hi", b"\0\x02\0\0hi"),
        ("u8,offset=1,skip=0", b"T?hi", b"T\x04hi"),
        ("u8,offset=1,adjustment=-1,skip=1", b"?hi", b"\0\x04hi"),
    ];
    for (name, payload, frame) in cases {
        let mut out = Vec::new();
        encode(framing(name), payload, &mut out).unwrap();
        assert_eq!(out, frame, "{name} {payload:?}");
    }
}

#[test]
fn a_varint_prefix_has_the_fewest_bytes() {
    for (length, head) in [(127, &[0x7f][..]), (128, &[0x80, 1]), (300, &[0xac, 2]), (16_384, &[0x80, 0x80, 1])] {
        let mut out = Vec::new();
        encode(Framing::Varint, &vec![7; length], &mut out).unwrap();
        assert_eq!((&out[..head.len()], out.len()), (head, head.len() + length));
    }
}

#[test]
fn a_failed_encode_leaves_the_output_unchanged() {
    let too_long = |payload_bytes, max_bytes| EncodeError::TooLong { payload_bytes, max_bytes };
    let too_short = |payload_bytes, min_bytes| EncodeError::TooShort { payload_bytes, min_bytes };
    let cases = [
        ("u8", vec![0; 256], too_long(256, 255)),
        ("u16le", vec![0; 65_536], too_long(65_536, 65_535)),
        ("u24be", vec![0; 1 << 24], too_long(1 << 24, (1 << 24) - 1)),
        ("u8,adjustment=-2", vec![0; 254], too_long(254, 253)),
        ("u8,adjustment=2", vec![0; 258], too_long(258, 257)),
        ("u8,adjustment=2", vec![0; 1], too_short(1, 2)),
        ("u16be,offset=1,skip=0", vec![0; 2], too_short(2, 3)),
        ("u8,adjustment=-300", vec![], too_long(0, 0)),
        ("lines", b"a\nb".to_vec(), EncodeError::LineFeedInLine),
    ];
    for (name, payload, error) in cases {
        let mut out = b"before".to_vec();
        assert_eq!(encode(framing(name), &payload, &mut out), Err(error), "{name}");
        assert_eq!(out, b"before", "{name}");
    }
}

#[test]
fn the_longest_payload_of_a_prefix_is_encoded() {
    for (name, length) in [("u8", 255), ("u16be", 65_535), ("u24be", (1 << 24) - 1), ("u8,adjustment=2", 257)] {
        let (payload, mut wire) = (vec![7; length], Vec::new());
        encode(framing(name), &payload, &mut wire).unwrap();
        let mut decoder = FrameDecoder::new(framing(name), length);
        let mut input = &wire[..];
        assert!(decoder.decode(&mut input).unwrap() == Some(&payload[..]) && input.is_empty(), "{name}");
    }
}

#[test]
fn a_line_that_ends_in_a_carriage_return_keeps_it() {
    for payload in [&b"a\r"[..], b"\r", b"\r\r"] {
        let mut wire = Vec::new();
        encode(Framing::Lines, payload, &mut wire).unwrap();
        assert_eq!(FrameDecoder::new(Framing::Lines, 10).decode(&mut &wire[..]), Ok(Some(payload)));
    }
}

#[test]
fn raw_carries_bytes_without_boundaries() {
    let payload: Vec<u8> = (0..=255).cycle().take(MAX_RAW_BYTES + 7).collect();
    let mut wire = b"before".to_vec();
    encode(Framing::Raw, &payload, &mut wire).unwrap();
    let mut reader = TestDecoder::new(Framing::Raw, LIMIT);
    reader.feed(&wire, FeedMode::Copied);
    assert_eq!(reader.payloads.concat(), [b"before", &payload[..]].concat());
}

/// Returns true if some value of the length field gives a payload of `length` bytes.
fn can_carry(rule: OracleFraming, length: usize) -> bool {
    let OracleFraming::Length { width, offset, adjustment, skip, .. } = rule else { return true };
    let length = i128::try_from(length).unwrap();
    let head = i128::from(offset) + i128::try_from(width.bytes()).unwrap();
    let field = length - i128::from(adjustment);
    (0..256i128.pow(u32::try_from(width.bytes()).unwrap())).contains(&field)
        && length + skip.map_or(head, i128::from) >= head
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn decode_and_encode_are_inverse(
        rule in any_rule(),
        mut payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            prop::collection::vec(any::<u8>(), 200..600),
            prop::collection::vec(prop::sample::select(&b"\r\na"[..]), 0..5),
        ],
        before in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut out = before.clone();
        let encoded = encode(rule.framing(), &payload, &mut out);
        prop_assert_eq!(&out[..before.len()], &before[..]);
        let frame = &out[before.len()..];
        let carried = can_carry(rule, payload.len()) && !(matches!(rule, OracleFraming::Lines) && payload.contains(&b'\n'));
        prop_assert_eq!(encoded.is_ok(), carried, "{:?}", encoded);
        if encoded.is_err() {
            prop_assert!(frame.is_empty());
            return Ok(());
        }
        if let OracleFraming::Length { width, offset, skip: Some(skip), .. } = rule {
            // The part of the length field that the payload keeps was put right.
            let field = usize::from(offset).max(usize::from(skip))..usize::from(offset) + width.bytes();
            for at in field {
                payload[at - usize::from(skip)] = frame[at];
            }
        }
        let mut decoder = FrameDecoder::new(rule.framing(), LIMIT);
        let mut input = frame;
        prop_assert_eq!(decoder.decode(&mut input), Ok(Some(&payload[..])));
        prop_assert!(input.is_empty());

        let mut again = Vec::new();
        encode(rule.framing(), &payload, &mut again).unwrap();
        prop_assert_eq!(again, frame);
    }
}
