//! What an error says about bytes that were meant for another port.

use super::{Reader, Way, framing};
use crate::frame::{FrameError, LooksLike};

const TLS: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01];

fn hint_of(reader: &Reader) -> Option<LooksLike> {
    match reader.error {
        Some(FrameError::TooLarge { looks_like, .. }) => looks_like,
        other => panic!("expected a frame too large, got {other:?}"),
    }
}

#[test]
fn a_frame_too_large_says_what_its_bytes_look_like() {
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
            let mut reader = Reader::new(framing(name), 1 << 20);
            reader.feed(wire, Way::Copied);
            assert_eq!(hint_of(&reader), expected, "{name} {wire:?}");
        }
    }
}

#[test]
fn the_head_alone_is_enough_for_a_guess() {
    for (wire, expected) in
        [(&b"GET / HTTP/1.1"[..], LooksLike::Http), (b"hello", LooksLike::Text), (TLS, LooksLike::Tls)]
    {
        let mut reader = Reader::new(framing("u32be"), 1 << 20);
        reader.feed_all(&wire.chunks(1).collect::<Vec<_>>(), Way::Copied);
        assert_eq!(hint_of(&reader), Some(expected), "{wire:?}");
    }
}

#[test]
fn a_peer_that_has_sent_a_frame_is_not_told_to_send_frames() {
    for cut in 0..=10 {
        let wire = b"\0\0\0\x02hiGET / HTTP/1.1\r\n";
        let mut reader = Reader::new(framing("u32be"), 1 << 20);
        reader.feed_all(&[&wire[..cut], &wire[cut..]], Way::Copied);
        assert_eq!(reader.payloads, [b"hi"]);
        assert_eq!(hint_of(&reader), None, "cut at {cut}");
    }
}

#[test]
fn an_unfinished_first_frame_can_be_asked_what_it_looks_like() {
    for (name, wire, expected) in [
        ("u16be", &b"GET / HTTP/1.1\r\n\r\n"[..], Some(LooksLike::Http)),
        ("u8", b"hello", Some(LooksLike::Text)),
        ("varint", b"hello", Some(LooksLike::Text)),
        ("u24be", TLS, Some(LooksLike::Tls)),
        ("u32be", b"he", Some(LooksLike::Text)),
        ("u32be", b"\0\0\0\x0aplausible", None),
        ("u32be", b"\0\0", None),
        ("u32be", b"", None),
        // Text is what lines are made of, and raw has no frame to be unfinished.
        ("lines", b"hello", None),
        ("raw", b"hello", None),
    ] {
        let mut reader = Reader::new(framing(name), 1 << 24);
        reader.feed(wire, Way::Copied);
        assert_eq!(reader.error, None, "{name} {wire:?}");
        assert_eq!(reader.decoder.looks_like(), expected, "{name} {wire:?}");
    }
}

#[test]
fn an_unfinished_later_frame_looks_like_nothing() {
    let mut reader = Reader::new(framing("u16be"), 1 << 20);
    reader.feed(b"\0\x02hiGET / HTTP/1.1", Way::Copied);
    assert_eq!(reader.payloads, [b"hi"]);
    assert_eq!(reader.decoder.unfinished_bytes(), Some(14));
    assert_eq!(reader.decoder.looks_like(), None);
}
