//! A stream may be split anywhere: the payloads are the same.

use super::super::{Endian, Framing, MAX_RAW_BYTES, Width, encode};
use super::oracle::{OracleFraming, OracleOutput, StreamEnd, length};
use super::{FEED_MODES, TestDecoder, framing};

const LIMIT: usize = 1 << 20;

/// Returns every framing with a plain name except `raw`, and one for each effect of the options.
fn rules() -> Vec<OracleFraming> {
    let with =
        |width, endian, offset, adjustment, skip| OracleFraming::Length { width, endian, offset, adjustment, skip };
    vec![
        length(Width::One, Endian::Big),
        length(Width::Two, Endian::Big),
        length(Width::Two, Endian::Little),
        length(Width::Three, Endian::Big),
        length(Width::Four, Endian::Big),
        length(Width::Four, Endian::Little),
        length(Width::Eight, Endian::Big),
        OracleFraming::Varint,
        OracleFraming::Lines,
        // The field follows other bytes, counts itself, or counts less than the payload.
        with(Width::Two, Endian::Big, 3, 0, None),
        with(Width::Two, Endian::Big, 0, -2, None),
        with(Width::Three, Endian::Little, 1, 5, None),
        // The payload is the whole frame, starts inside the header, or starts after bytes behind
        // the header.
        with(Width::Four, Endian::Big, 2, 6, Some(0)),
        with(Width::Two, Endian::Little, 1, 0, Some(2)),
        with(Width::Two, Endian::Big, 0, -4, Some(9)),
    ]
}

/// Returns the encoded payloads, and how many of them the framing can carry.
fn stream(framing: Framing, payloads: &[&[u8]]) -> (Vec<u8>, usize) {
    let mut wire = Vec::new();
    let frames = payloads.iter().filter(|payload| encode(framing, payload, &mut wire).is_ok()).count();
    (wire, frames)
}

fn assert_reads(rule: OracleFraming, pieces: &[&[u8]], expected: &OracleOutput) {
    for mode in FEED_MODES {
        let mut reader = TestDecoder::new(rule.framing(), LIMIT);
        reader.feed_all(pieces, mode);
        let cuts: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(reader.error, None, "{rule:?} {mode:?} {cuts:?}");
        assert_eq!(reader.payloads, expected.payloads, "{rule:?} {mode:?} {cuts:?}");
        assert_eq!(reader.decoder.unfinished_bytes(), None, "{rule:?} {mode:?} {cuts:?}");
    }
}

#[test]
fn every_named_framing_is_tested_here() {
    let known: Vec<_> = rules().into_iter().map(OracleFraming::framing).collect();
    for (name, framing) in Framing::NAMES {
        assert!(framing == Framing::Raw || known.contains(&framing), "{name}");
    }
}

#[test]
fn one_split_anywhere_gives_the_same_payloads() {
    let long = [b'x'; 300];
    for rule in rules() {
        let payloads: [&[u8]; 7] = [b"", b"hello", &long, b"", b"a\rb", &long[..128], b""];
        let (wire, frames) = stream(rule.framing(), &payloads);
        let expected = rule.read(LIMIT, &wire);
        assert_eq!((expected.payloads.len(), &expected.end), (frames, &StreamEnd::Between), "{rule:?}");
        assert!(frames >= 2, "{rule:?}");
        for at in 0..=wire.len() {
            assert_reads(rule, &[&wire[..at], &wire[at..]], &expected);
        }
    }
}

#[test]
fn two_splits_anywhere_give_the_same_payloads() {
    for rule in rules() {
        let (wire, _) = stream(rule.framing(), &[b"", b"seven b", b"", b"eight by", b"nine byte"]);
        let expected = rule.read(LIMIT, &wire);
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                assert_reads(rule, &[&wire[..first], &wire[first..second], &wire[second..]], &expected);
            }
        }
    }
}

#[test]
fn single_bytes_give_the_same_payloads() {
    let long = [b'x'; 5000];
    for rule in rules() {
        let (wire, _) = stream(rule.framing(), &[b"", b"hello", &long, b"", b"last words"]);
        let pieces: Vec<_> = wire.chunks(1).collect();
        assert_reads(rule, &pieces, &rule.read(LIMIT, &wire));
    }
}

#[test]
fn raw_returns_each_read_unchanged() {
    for mode in FEED_MODES {
        let mut reader = TestDecoder::new(Framing::Raw, LIMIT);
        reader.feed_all(&[b"a", b"", b"bc\n", b"\0"], mode);
        assert_eq!(reader.payloads, [&b"a"[..], b"bc\n", b"\0"]);
        assert_eq!(reader.decoder.unfinished_bytes(), None);
    }
}

#[test]
fn raw_splits_a_read_over_the_limit() {
    let bytes: Vec<u8> = (0..=250).cycle().take(2 * MAX_RAW_BYTES + 1).collect();
    for (limit, lengths) in [(LIMIT, vec![MAX_RAW_BYTES, MAX_RAW_BYTES, 1]), (100_000, vec![MAX_RAW_BYTES; 2])] {
        let mut reader = TestDecoder::new(Framing::Raw, limit);
        reader.feed(&bytes[..lengths.iter().sum()], super::FeedMode::Copied);
        assert_eq!(reader.payloads.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
        assert!(bytes.starts_with(&reader.payloads.concat()));
    }
    let mut reader = TestDecoder::new(Framing::Raw, 3);
    reader.feed(b"abcdefgh", super::FeedMode::Copied);
    assert_eq!(reader.payloads, [&b"abc"[..], b"def", b"gh"]);
}

#[test]
fn a_line_ends_with_lf_or_crlf() {
    let cases: [(&[u8], &[&[u8]]); 7] = [
        (b"one\ntwo\n", &[b"one", b"two"]),
        (b"one\r\ntwo\r\n", &[b"one", b"two"]),
        (b"\n\r\n\n", &[b"", b"", b""]),
        (b"a\rb\n", &[b"a\rb"]),
        (b"a\r\r\n", &[b"a\r"]),
        (b"\ra\n", &[b"\ra"]),
        (b"\n\ra\r\n\r", &[b"", b"\ra"]),
    ];
    for (wire, lines) in cases {
        for at in 0..=wire.len() {
            let mut reader = TestDecoder::new(Framing::Lines, 10);
            reader.feed_all(&[&wire[..at], &wire[at..]], super::FeedMode::Direct);
            assert_eq!(reader.payloads, lines, "{wire:?} cut at {at}");
        }
    }
}

#[test]
fn the_last_line_of_a_stream_needs_no_line_feed() {
    for (wire, last) in [
        (&b"one\nlast"[..], Some(&b"last"[..])),
        (b"one\nlast\r", Some(b"last")),
        (b"one\n\r", Some(b"")),
        (b"one\n", None),
        (b"", None),
    ] {
        for at in 0..=wire.len() {
            let mut reader = TestDecoder::new(Framing::Lines, 4);
            reader.feed_all(&[&wire[..at], &wire[at..]], super::FeedMode::Copied);
            assert_eq!(reader.decoder.finish(), last, "{wire:?} cut at {at}");
            assert_eq!(reader.decoder.finish(), None, "the last line is returned once");
        }
    }
}

#[test]
fn finish_returns_no_incomplete_frame() {
    for name in ["u8", "u32be", "u64be", "varint", "u16be,offset=2"] {
        let mut reader = TestDecoder::new(framing(name), LIMIT);
        let (wire, _) = stream(framing(name), &[b"cut off"]);
        reader.feed(&wire[..wire.len() - 1], super::FeedMode::Copied);
        assert_eq!(reader.decoder.finish(), None, "{name}");
        assert_eq!(reader.decoder.unfinished_bytes(), Some(wire.len() - 1), "{name}");
    }
}
