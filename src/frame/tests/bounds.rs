//! The cost of a peer: the point at which a bad header is rejected, and the memory that a frame
//! holds.

use super::super::{FrameDecoder, Framing, encode};
use super::{FEED_MODES, FeedMode, TestDecoder, framing};
use crate::frame::FrameError;

const GIB: usize = 1 << 30;

fn fed(name: &str, limit: usize, wire: &[u8]) -> TestDecoder {
    let mut reader = TestDecoder::new(framing(name), limit);
    reader.feed_all(&wire.chunks(1).collect::<Vec<_>>(), FeedMode::Direct);
    reader
}

fn too_large(declared_bytes: u64, max_frame_bytes: usize) -> FrameError {
    FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
}

#[test]
fn a_frame_over_the_limit_is_rejected_by_its_header() {
    for (name, head, declared) in [
        ("u8", &b"\x65"[..], 101),
        ("u16be", b"\x01\0", 256),
        ("u16le", b"\0\x01", 256),
        ("u24be", b"\0\x01\0", 256),
        ("u32be", b"\0\0\0\x65", 101),
        ("u32le", b"\xff\xff\xff\xff", u64::from(u32::MAX)),
        ("u64be", &[0xff; 8], u64::MAX),
        ("varint", b"\x80\x01", 128),
        ("varint", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], u64::MAX),
        ("u8,offset=1,adjustment=1", b"\0\x64", 101),
        ("u8,offset=1,skip=0", b"\0\x65", 101),
        ("u64be,adjustment=5", &[0xff; 8], u64::MAX),
        ("u64be,adjustment=-5", &[0xff; 8], u64::MAX - 5),
    ] {
        let before = fed(name, 100, &head[..head.len() - 1]);
        assert_eq!(before.error, None, "{name}");
        let reader = fed(name, 100, head);
        assert_eq!(reader.error, Some(too_large(declared, 100)), "{name}");
        assert!(reader.decoder.held_bytes() <= 64, "{name}");
    }
}

#[test]
fn a_frame_of_exactly_the_limit_passes() {
    for name in ["u8", "u16be", "u32be", "u64be", "varint", "lines", "u8,offset=2,adjustment=-3", "u8,offset=1,skip=0"]
    {
        let mut wire = Vec::new();
        encode(framing(name), &[7; 100], &mut wire).unwrap();
        assert_eq!(fed(name, 100, &wire).payloads.len(), 1, "{name}");
        assert!(fed(name, 99, &wire).error.is_some(), "{name}");
    }
}

#[test]
fn the_largest_declarable_frame_is_always_rejected() {
    for name in ["u64be", "varint", "u64be,adjustment=9", "u64be,skip=9"] {
        let head = if name == "varint" { [[0xff; 9].as_slice(), &[1]].concat() } else { vec![0xff; 8] };
        assert_eq!(fed(name, usize::MAX, &head).error, Some(too_large(u64::MAX, usize::MAX)), "{name}");
    }
}

#[test]
fn a_frame_that_ends_inside_its_header_is_rejected() {
    for (name, head, declared) in [
        ("u16be,adjustment=-4", &b"\0\x03"[..], 3),
        ("u16le,adjustment=-1", b"\0\0", 0),
        ("u8,offset=3,adjustment=-1,skip=0", b"abc\x04", 4),
        ("u8,skip=0", b"\0", 0),
        ("u16be,offset=1,skip=1", b"T\0\x01", 1),
    ] {
        assert_eq!(fed(name, 100, head).error, Some(FrameError::TooShort { declared }), "{name}");
        assert_eq!(fed(name, 100, &head[..head.len() - 1]).error, None, "{name}");
    }
    // One byte more is valid.
    for (name, frame) in
        [("u16be,adjustment=-4", &b"\0\x04"[..]), ("u8,skip=0", b"\x01"), ("u16be,offset=1,skip=1", b"T\0\x02")]
    {
        assert_eq!(fed(name, 100, frame).payloads.len(), 1, "{name}");
    }
}

#[test]
fn memory_grows_with_received_not_declared_bytes() {
    let declared = u32::try_from(GIB / 2).unwrap().to_be_bytes();
    for mode in FEED_MODES {
        let mut reader = TestDecoder::new(Framing::U32BE, GIB);
        reader.feed_all(&[&declared, b"x"], mode);
        assert!(reader.decoder.held_bytes() <= 64);
        reader.feed(&[0; 10_000], mode);
        assert!(reader.decoder.held_bytes() <= 2 * 10_005);
    }
}

#[test]
fn spare_grows_with_received_bytes_up_to_the_frame() {
    let mut reader = TestDecoder::new(Framing::U32BE, GIB);
    assert!(reader.decoder.spare().is_empty(), "spare bytes between frames");
    reader.feed(&[0, 1, 0], FeedMode::Copied);
    assert!(reader.decoder.spare().is_empty(), "spare bytes while the end is unknown");
    reader.feed(&[0], FeedMode::Copied);
    let mut received = 4;
    while received < 65_536 + 4 {
        let room = reader.decoder.spare().len();
        assert!((1..=received.max(62) + 2).contains(&room), "{room} spare bytes after {received} received");
        assert!(reader.decoder.held_bytes() <= 65_536 + 4, "more memory than the frame needs");
        reader.decoder.filled(room);
        received += room;
    }
    assert_eq!(received, 65_536 + 4);
    assert!(reader.decoder.spare().is_empty(), "spare bytes for the next frame");
    reader.feed(b"", FeedMode::Copied);
    assert_eq!(reader.payloads, [vec![0; 65_536]]);
}

#[test]
fn a_frame_in_small_pieces_is_copied_a_few_times_only() {
    for name in ["u32be", "lines"] {
        let mut wire = Vec::new();
        encode(framing(name), &vec![b'x'; 100_000], &mut wire).unwrap();
        for mode in FEED_MODES {
            let mut reader = TestDecoder::new(framing(name), GIB);
            let mut sizes = Vec::new();
            for piece in wire.chunks(1) {
                reader.feed(piece, mode);
                sizes.push(reader.decoder.held_bytes());
            }
            sizes.dedup();
            assert!(sizes.len() <= 14, "{name} {mode:?}: {sizes:?}");
        }
    }
}

#[test]
fn no_memory_is_held_after_a_frame_is_returned() {
    for (name, _) in Framing::NAMES {
        let mut wire = Vec::new();
        encode(framing(name), b"hello", &mut wire).unwrap();
        let (first, rest) = wire.split_at(3);
        let mut decoder = FrameDecoder::new(framing(name), 100);
        for mut input in [first, rest, &[]] {
            while decoder.decode(&mut input).unwrap().is_some() {}
        }
        assert_eq!((decoder.held_bytes(), decoder.unfinished_bytes()), (0, None), "{name}");
    }
}

#[test]
fn a_varint_may_be_padded_up_to_64_bits() {
    assert_eq!(fed("varint", 100, b"\x82\x80\x00hi").payloads, [b"hi"]);
    let padded = [&[0x82][..], &[0x80; 8], b"\0hi"].concat();
    assert_eq!(fed("varint", 100, &padded).payloads, [b"hi"]);
    for (long, accepted) in [
        ([&[0x80; 9][..], &[2]].concat(), 9), // a 65th bit
        ([&[0x80; 9][..], &[0x82]].concat(), 9),
        (vec![0x80; 10], 9), // an eleventh byte would follow
        ([&[0x80; 9][..], &[0x81]].concat(), 9),
    ] {
        assert_eq!(fed("varint", 100, &long[..accepted]).error, None);
        assert_eq!(fed("varint", 100, &long).error, Some(FrameError::VarintTooLong));
        let mut whole = TestDecoder::new(Framing::Varint, 100);
        whole.feed(&[&long[..], b"more"].concat(), FeedMode::Copied);
        assert_eq!(whole.error, Some(FrameError::VarintTooLong));
    }
}

#[test]
fn a_line_of_exactly_the_limit_passes() {
    for wire in [&b"12345\n"[..], b"12345\r\n", b"1234\r\r\n"] {
        for at in 0..=wire.len() {
            let mut reader = TestDecoder::new(Framing::Lines, 5);
            reader.feed_all(&[&wire[..at], &wire[at..]], FeedMode::Copied);
            assert_eq!((reader.payloads.len(), reader.error), (1, None), "{wire:?} cut at {at}");
        }
    }
}

#[test]
fn a_line_over_the_limit_is_rejected_before_its_end() {
    let too_long = Some(FrameError::LineTooLong { max_frame_bytes: 5 });
    for wire in [&b"123456"[..], b"12345\r\r", b"12345\rx"] {
        assert_eq!(fed("lines", 5, wire).error, too_long, "{wire:?}");
        assert_eq!(fed("lines", 5, &wire[..wire.len() - 1]).error, None, "{wire:?}");
        let mut whole = TestDecoder::new(Framing::Lines, 5);
        whole.feed(&[wire, b"and on\n"].concat(), FeedMode::Copied);
        assert_eq!(whole.error, too_long, "{wire:?}");
    }
}

#[test]
fn a_limit_of_zero_allows_empty_frames_only() {
    for (name, empty, full) in
        [("u8", &b"\0"[..], &b"\x01x"[..]), ("varint", b"\0", b"\x01x"), ("lines", b"\r\n", b"x\n")]
    {
        assert_eq!(fed(name, 0, empty).payloads, [b""], "{name}");
        assert!(fed(name, 0, full).error.is_some(), "{name}");
    }
    let mut raw = TestDecoder::new(Framing::Raw, 0);
    raw.feed(b"", FeedMode::Copied);
    assert_eq!(raw.error, None);
    raw.feed(b"x", FeedMode::Copied);
    assert_eq!(raw.error, Some(too_large(1, 0)));
}

#[test]
fn can_carry_agrees_with_encode() {
    for name in
        ["u8", "u16be", "u24be", "u32le", "varint", "lines", "raw", "u16be,offset=2,adjustment=-4", "u8,adjustment=1"]
    {
        let framing: Framing = name.parse().unwrap();
        for bytes in [200, 255, 256, 257, 65_531, 65_532, 65_535, 65_536, 1 << 24] {
            let payload = vec![b'\n'; bytes];
            let encoded = encode(framing, &payload, &mut Vec::new());
            assert_eq!(framing.can_carry(bytes), encoded.is_ok(), "{bytes} bytes in {name}");
        }
    }
}
