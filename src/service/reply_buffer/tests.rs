//! The bytes written are those of plain encoding, and large replies are not copied.

use proptest::prelude::*;

use super::*;

const LARGE: usize = MIN_BORROWED_BYTES;

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

fn plain(framing: Framing, payloads: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in payloads {
        encode(framing, payload, &mut wire).unwrap();
    }
    wire
}

fn pieces<'a>(buffer: &'a ReplyBuffer, source: ReplySource<'a>) -> Vec<&'a [u8]> {
    buffer.pieces(source).collect()
}

/// The two places of a request: in the receive buffer, or in the decoder's own buffer.
fn sources(request: &[u8]) -> [ReplySource<'_>; 2] {
    [ReplySource::received(request), ReplySource { received: b"the end of it", request }]
}

#[test]
fn a_large_part_of_the_request_is_borrowed() {
    let request = bytes(3 * LARGE);
    for range in [0..request.len(), 0..LARGE, 7..LARGE + 7, 2 * LARGE..3 * LARGE] {
        for (source, in_request) in sources(&request).into_iter().zip([false, true]) {
            let mut buffer = ReplyBuffer::default();
            buffer.reply(Framing::U32BE, &request[range.clone()], source).unwrap();
            assert_eq!((buffer.has_borrowed(), buffer.borrows_request()), (true, in_request));
            assert_eq!(buffer.as_one_slice(), None);
            let pieces = pieces(&buffer, source);
            assert_eq!((pieces.len(), pieces[0].len()), (2, 4), "the header alone is copied");
            assert_eq!(pieces[1].as_ptr_range(), request[range.clone()].as_ptr_range());
            assert_eq!(pieces.concat(), plain(Framing::U32BE, &[&request[range.clone()]]));
        }
    }
}

#[test]
fn other_replies_are_copied() {
    let request = bytes(2 * LARGE);
    let elsewhere = request.clone();
    let larger = bytes(3 * LARGE);
    let cases: [(&[u8], &[u8]); 5] = [
        (&request[..LARGE - 1], &request),
        (&elsewhere, &request),
        (&larger, &larger[..LARGE]),
        (&larger[LARGE..], &larger[..2 * LARGE]),
        (&larger, &[]),
    ];
    for (reply, request) in cases {
        let mut buffer = ReplyBuffer::default();
        for source in sources(request) {
            buffer.clear();
            buffer.reply(Framing::U32BE, reply, source).unwrap();
            assert!(!buffer.has_borrowed() && !buffer.borrows_request());
            assert_eq!(buffer.as_one_slice(), Some(&plain(Framing::U32BE, &[reply])[..]));
            assert_eq!(pieces(&buffer, source), [buffer.as_one_slice().unwrap()]);
        }
    }
}

#[test]
fn copied_and_borrowed_replies_keep_their_order() {
    let request = bytes(2 * LARGE);
    for framing in [Framing::U32BE, Framing::Varint, Framing::Raw] {
        let replies: [&[u8]; 5] = [b"first", &request, b"", &request[1..], b"last"];
        let mut buffer = ReplyBuffer::default();
        for reply in replies {
            buffer.reply(framing, reply, ReplySource::received(&request)).unwrap();
        }
        let wire = plain(framing, &replies);
        assert_eq!(buffer.borrowed.len(), 2, "both large replies are borrowed");
        assert_eq!(pieces(&buffer, ReplySource::received(&request)).concat(), wire);
        assert_eq!((buffer.len(), buffer.frames()), (wire.len(), 5));
    }
}

#[test]
fn borrowed_replies_are_bounded() {
    let request = bytes(LARGE);
    let source = ReplySource::received(&request);
    let mut buffer = ReplyBuffer::default();
    for sent in 1..=MAX_BORROWED + 1 {
        buffer.reply(Framing::U32BE, &request, source).unwrap();
        assert_eq!(buffer.should_write(), sent >= MAX_BORROWED);
        let pieces = pieces(&buffer, source);
        assert!(pieces.len() <= MAX_PIECES);
        assert!(pieces.concat() == plain(Framing::U32BE, &vec![&request[..]; sent]));
    }
}

#[test]
fn replies_borrow_from_one_source_at_a_time() {
    let (received, request) = (bytes(LARGE), bytes(LARGE + 1));
    let source = ReplySource { received: &received, request: &request };
    for replies in [[&received, &request], [&request, &received]] {
        let mut buffer = ReplyBuffer::default();
        for reply in replies {
            buffer.reply(Framing::U32BE, reply, source).unwrap();
        }
        assert_eq!(buffer.borrowed.len(), 1);
        assert!(pieces(&buffer, source).concat() == plain(Framing::U32BE, &replies.map(|reply| &reply[..])));
    }
}

#[test]
fn a_borrowed_line_has_its_line_feed() {
    for end in [&b"x"[..], b"\r"] {
        let request = [&[b'x'; LARGE], end].concat();
        let mut buffer = ReplyBuffer::default();
        let source = ReplySource::received(&request);
        buffer.reply(Framing::Lines, &request, source).unwrap();
        buffer.reply(Framing::Lines, b"next", source).unwrap();
        assert!(buffer.has_borrowed());
        assert_eq!(pieces(&buffer, source).concat(), plain(Framing::Lines, &[&request, b"next"]));
    }
}

#[test]
fn a_reply_that_cannot_be_encoded_adds_no_bytes() {
    let request = bytes(LARGE); // which contains line feeds
    let source = ReplySource::received(&request);
    let mut buffer = ReplyBuffer::default();
    buffer.reply(Framing::Lines, b"fine", source).unwrap();
    assert_eq!(buffer.reply(Framing::Lines, &request, source), Err(EncodeError::LineFeedInLine));
    assert!(buffer.reply(Framing::U8, &request, source).is_err());
    assert_eq!((pieces(&buffer, source).concat(), buffer.frames()), (b"fine\n".to_vec(), 1));
    assert!(!buffer.has_borrowed());
}

#[test]
fn the_first_failure_is_kept() {
    let mut buffer = ReplyBuffer::default();
    assert_eq!(buffer.take_failure(), None);
    buffer.fail(EncodeError::LineFeedInLine);
    buffer.fail(EncodeError::TooLong { payload_bytes: 256, max_bytes: 255 });
    assert_eq!(buffer.take_failure(), Some(EncodeError::LineFeedInLine));
    assert_eq!(buffer.take_failure(), None);
}

#[test]
fn a_cleared_buffer_is_empty_and_keeps_little_memory() {
    let request = bytes(LARGE);
    let mut buffer = ReplyBuffer::default();
    buffer.push_encoded(&bytes(2 * KEPT_BYTES), 1);
    buffer.reply(Framing::U32BE, &request, ReplySource::received(&request)).unwrap();
    assert!(!buffer.is_empty() && buffer.should_write());
    buffer.clear();
    assert!(buffer.is_empty() && !buffer.has_borrowed() && !buffer.should_write());
    assert_eq!((buffer.len(), buffer.frames()), (0, 0));
    assert!(buffer.bytes.capacity() <= KEPT_BYTES);
}

/// A reply: a part of the request, other bytes, or a frame that is already encoded.
#[derive(Clone, Debug)]
enum TestReply {
    Part(usize, usize),
    /// A part of the receive buffer.
    Received(usize, usize),
    Own(Vec<u8>),
    Encoded(Vec<u8>),
}

fn any_reply() -> impl Strategy<Value = TestReply> {
    let own = prop_oneof![3 => 0..50usize, 1 => LARGE - 2..LARGE + 300];
    prop_oneof![
        3 => (0..3 * LARGE, 0..3 * LARGE).prop_map(|(start, len)| TestReply::Part(start, len)),
        1 => (0..3 * LARGE, 0..3 * LARGE).prop_map(|(start, len)| TestReply::Received(start, len)),
        3 => own.prop_map(|len| TestReply::Own(bytes(len))),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(TestReply::Encoded),
    ]
}

proptest! {
    #[test]
    fn the_output_equals_plain_encoding(
        name in prop::sample::select(vec!["u8", "u16le", "u32be", "varint", "lines", "raw", "u32be,offset=1,skip=0"]),
        replies in prop::collection::vec(any_reply(), 0..8),
    ) {
        let framing: Framing = name.parse().unwrap();
        let (request, received) = (vec![b'r'; 3 * LARGE], vec![b'v'; 3 * LARGE]);
        let source = ReplySource { received: &received, request: &request };
        let (mut buffer, mut wire, mut frames) = (ReplyBuffer::default(), Vec::new(), 0);
        for reply in &replies {
            let payload = match reply {
                TestReply::Part(start, len) => &request[*start..request.len().min(start + len)],
                TestReply::Received(start, len) => &received[*start..received.len().min(start + len)],
                TestReply::Own(payload) => payload,
                TestReply::Encoded(frame) => {
                    buffer.push_encoded(frame, 1);
                    wire.extend_from_slice(frame);
                    frames += 1;
                    continue;
                }
            };
            let expected = encode(framing, payload, &mut wire);
            prop_assert_eq!(buffer.reply(framing, payload, source), expected);
            frames += u32::from(expected.is_ok());
            prop_assert_eq!(buffer.len(), wire.len());
        }
        prop_assert_eq!(buffer.frames(), frames);
        prop_assert!(pieces(&buffer, source).concat() == wire);
    }
}
