//! The protocol hint in errors about bytes of another protocol.

use super::{FeedMode, TestDecoder, framing};
use crate::frame::{FrameError, LooksLike};

const TLS: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01];

fn hint_of(reader: &TestDecoder) -> Option<LooksLike> {
    match reader.error {
        Some(FrameError::TooLarge { looks_like, .. }) => looks_like,
        other => panic!("expected a frame too large, got {other:?}"),
    }
}

#[test]
fn a_frame_too_large_has_a_hint() {
    for (wire, expected) in [
        (&b"hello there\r\n"[..], Some(LooksLike::Text)),
        ("grüß dich\n".as_bytes(), Some(LooksLike::Text)),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(LooksLike::Http)),
        (b"POST /upload HTTP/1.1\r\n", Some(LooksLike::Http)),
        (TLS, Some(LooksLike::Tls)),
        (&[0x7f, 0, 0, 1, b'h', b'i', 0, 0], None),
        (&[0xff; 20], None),
    ] {
        for name in ["u32be", "u64be"] {
            let mut reader = TestDecoder::new(framing(name), 1 << 20);
            reader.feed(wire, FeedMode::Copied);
            assert_eq!(hint_of(&reader), expected, "{name} {wire:?}");
        }
    }
}

#[test]
fn the_header_alone_gives_a_hint() {
    for (wire, expected) in
        [(&b"GET / HTTP/1.1"[..], LooksLike::Http), (b"hello", LooksLike::Text), (TLS, LooksLike::Tls)]
    {
        let mut reader = TestDecoder::new(framing("u32be"), 1 << 20);
        reader.feed_all(&wire.chunks(1).collect::<Vec<_>>(), FeedMode::Copied);
        assert_eq!(hint_of(&reader), Some(expected), "{wire:?}");
    }
}

#[test]
fn there_is_a_hint_only_before_the_first_frame() {
    for cut in 0..=10 {
        let wire = b"\0\0\0\x02hiGET / HTTP/1.1\r\n";
        let mut reader = TestDecoder::new(framing("u32be"), 1 << 20);
        reader.feed_all(&[&wire[..cut], &wire[cut..]], FeedMode::Copied);
        assert_eq!(reader.payloads, [b"hi"]);
        assert_eq!(hint_of(&reader), None, "cut at {cut}");
    }
}

#[test]
fn an_incomplete_first_frame_has_a_hint() {
    for (name, wire, expected) in [
        ("u16be", &b"GET / HTTP/1.1\r\n\r\n"[..], Some(LooksLike::Http)),
        ("u8", b"hello", Some(LooksLike::Text)),
        ("varint", b"hello", Some(LooksLike::Text)),
        ("u24be", TLS, Some(LooksLike::Tls)),
        ("u32be", b"he", Some(LooksLike::Text)),
        ("u32be", b"\0\0\0\x0aplausible", None),
        ("u32be", b"\0\0", None),
        ("u32be", b"", None),
        // Lines are text anyway, and raw has no incomplete frames.
        ("lines", b"hello", None),
        ("raw", b"hello", None),
    ] {
        let mut reader = TestDecoder::new(framing(name), 1 << 24);
        reader.feed(wire, FeedMode::Copied);
        assert_eq!(reader.error, None, "{name} {wire:?}");
        assert_eq!(reader.decoder.looks_like(), expected, "{name} {wire:?}");
    }
}

#[test]
fn an_incomplete_later_frame_has_no_hint() {
    let mut reader = TestDecoder::new(framing("u16be"), 1 << 20);
    reader.feed(b"\0\x02hiGET / HTTP/1.1", FeedMode::Copied);
    assert_eq!(reader.payloads, [b"hi"]);
    assert_eq!(reader.decoder.unfinished_bytes(), Some(14));
    assert_eq!(reader.decoder.looks_like(), None);
}
