//! What reaches the wire is what plain encoding would have put there, and what is large is not copied.

use proptest::prelude::*;

use super::*;

const LARGE: usize = LEND_BYTES;

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

fn pieces<'a>(outbox: &'a ReplyBuffer, origin: ReplySource<'a>) -> Vec<&'a [u8]> {
    outbox.pieces(origin).collect()
}

/// The request in either place: among the bytes just received, or put together elsewhere.
fn origins(request: &[u8]) -> [ReplySource<'_>; 2] {
    [ReplySource::received(request), ReplySource { received: b"the end of it", request }]
}

#[test]
fn a_large_reply_within_the_request_is_sent_from_where_it_lies() {
    let request = bytes(3 * LARGE);
    for range in [0..request.len(), 0..LARGE, 7..LARGE + 7, 2 * LARGE..3 * LARGE] {
        for (origin, in_request) in origins(&request).into_iter().zip([false, true]) {
            let mut outbox = ReplyBuffer::default();
            outbox.reply(Framing::U32BE, &request[range.clone()], origin).unwrap();
            assert_eq!((outbox.has_lent(), outbox.lies_in_request()), (true, in_request));
            assert_eq!(outbox.one_piece(), None);
            let pieces = pieces(&outbox, origin);
            assert_eq!((pieces.len(), pieces[0].len()), (2, 4), "only the head was copied");
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
        let mut outbox = ReplyBuffer::default();
        for origin in origins(request) {
            outbox.clear();
            outbox.reply(Framing::U32BE, reply, origin).unwrap();
            assert!(!outbox.has_lent() && !outbox.lies_in_request());
            assert_eq!(outbox.one_piece(), Some(&plain(Framing::U32BE, &[reply])[..]));
            assert_eq!(pieces(&outbox, origin), [outbox.one_piece().unwrap()]);
        }
    }
}

#[test]
fn replies_before_and_after_one_that_is_lent_keep_their_order() {
    let request = bytes(2 * LARGE);
    for framing in [Framing::U32BE, Framing::Varint, Framing::Raw] {
        let replies: [&[u8]; 5] = [b"first", &request, b"", &request[1..], b"last"];
        let mut outbox = ReplyBuffer::default();
        for reply in replies {
            outbox.reply(framing, reply, ReplySource::received(&request)).unwrap();
        }
        let wire = plain(framing, &replies);
        assert_eq!(outbox.lent.len(), 2, "both large replies are lent");
        assert_eq!(pieces(&outbox, ReplySource::received(&request)).concat(), wire);
        assert_eq!((outbox.len(), outbox.frames()), (wire.len(), 5));
    }
}

#[test]
fn no_more_is_lent_than_one_write_takes() {
    let request = bytes(LARGE);
    let origin = ReplySource::received(&request);
    let mut outbox = ReplyBuffer::default();
    for sent in 1..=MAX_LENT + 1 {
        outbox.reply(Framing::U32BE, &request, origin).unwrap();
        assert_eq!(outbox.is_worth_a_write(), sent >= MAX_LENT);
        let pieces = pieces(&outbox, origin);
        assert!(pieces.len() <= MAX_PIECES);
        assert!(pieces.concat() == plain(Framing::U32BE, &vec![&request[..]; sent]));
    }
}

#[test]
fn what_lies_in_two_places_is_lent_from_the_first_alone() {
    let (received, request) = (bytes(LARGE), bytes(LARGE + 1));
    let origin = ReplySource { received: &received, request: &request };
    for replies in [[&received, &request], [&request, &received]] {
        let mut outbox = ReplyBuffer::default();
        for reply in replies {
            outbox.reply(Framing::U32BE, reply, origin).unwrap();
        }
        assert_eq!(outbox.lent.len(), 1);
        assert!(pieces(&outbox, origin).concat() == plain(Framing::U32BE, &replies.map(|reply| &reply[..])));
    }
}

#[test]
fn a_line_that_is_lent_ends_as_a_line_does() {
    for end in [&b"x"[..], b"\r"] {
        let request = [&[b'x'; LARGE], end].concat();
        let mut outbox = ReplyBuffer::default();
        let origin = ReplySource::received(&request);
        outbox.reply(Framing::Lines, &request, origin).unwrap();
        outbox.reply(Framing::Lines, b"next", origin).unwrap();
        assert!(outbox.has_lent());
        assert_eq!(pieces(&outbox, origin).concat(), plain(Framing::Lines, &[&request, b"next"]));
    }
}

#[test]
fn a_reply_that_cannot_be_framed_leaves_nothing_behind() {
    let request = bytes(LARGE); // which holds line feeds
    let origin = ReplySource::received(&request);
    let mut outbox = ReplyBuffer::default();
    outbox.reply(Framing::Lines, b"fine", origin).unwrap();
    assert_eq!(outbox.reply(Framing::Lines, &request, origin), Err(EncodeError::LineFeedInLine));
    assert!(outbox.reply(Framing::U8, &request, origin).is_err());
    assert_eq!((pieces(&outbox, origin).concat(), outbox.frames()), (b"fine\n".to_vec(), 1));
    assert!(!outbox.has_lent());
}

#[test]
fn the_first_failure_is_the_one_that_is_told() {
    let mut outbox = ReplyBuffer::default();
    assert_eq!(outbox.take_failure(), None);
    outbox.fail(EncodeError::LineFeedInLine);
    outbox.fail(EncodeError::TooLong { payload_bytes: 256, max_bytes: 255 });
    assert_eq!(outbox.take_failure(), Some(EncodeError::LineFeedInLine));
    assert_eq!(outbox.take_failure(), None);
}

#[test]
fn a_cleared_outbox_is_empty_and_keeps_little_memory() {
    let request = bytes(LARGE);
    let mut outbox = ReplyBuffer::default();
    outbox.push_encoded(&bytes(2 * KEPT_BYTES), 1);
    outbox.reply(Framing::U32BE, &request, ReplySource::received(&request)).unwrap();
    assert!(!outbox.is_empty() && outbox.is_worth_a_write());
    outbox.clear();
    assert!(outbox.is_empty() && !outbox.has_lent() && !outbox.is_worth_a_write());
    assert_eq!((outbox.len(), outbox.frames()), (0, 0));
    assert!(outbox.bytes.capacity() <= KEPT_BYTES);
}

/// A reply: a part of the request, bytes of its own, or a frame encoded before.
#[derive(Clone, Debug)]
enum Reply {
    Part(usize, usize),
    /// A part of what was received with it.
    Received(usize, usize),
    Own(Vec<u8>),
    Encoded(Vec<u8>),
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let own = prop_oneof![3 => 0..50usize, 1 => LARGE - 2..LARGE + 300];
    prop_oneof![
        3 => (0..3 * LARGE, 0..3 * LARGE).prop_map(|(start, len)| Reply::Part(start, len)),
        1 => (0..3 * LARGE, 0..3 * LARGE).prop_map(|(start, len)| Reply::Received(start, len)),
        3 => own.prop_map(|len| Reply::Own(bytes(len))),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Reply::Encoded),
    ]
}

proptest! {
    #[test]
    fn the_wire_holds_what_plain_encoding_would_have_put_there(
        name in prop::sample::select(vec!["u8", "u16le", "u32be", "varint", "lines", "raw", "u32be,offset=1,skip=0"]),
        replies in prop::collection::vec(any_reply(), 0..8),
    ) {
        let framing: Framing = name.parse().unwrap();
        let (request, received) = (vec![b'r'; 3 * LARGE], vec![b'v'; 3 * LARGE]);
        let origin = ReplySource { received: &received, request: &request };
        let (mut outbox, mut wire, mut frames) = (ReplyBuffer::default(), Vec::new(), 0);
        for reply in &replies {
            let payload = match reply {
                Reply::Part(start, len) => &request[*start..request.len().min(start + len)],
                Reply::Received(start, len) => &received[*start..received.len().min(start + len)],
                Reply::Own(payload) => payload,
                Reply::Encoded(frame) => {
                    outbox.push_encoded(frame, 1);
                    wire.extend_from_slice(frame);
                    frames += 1;
                    continue;
                }
            };
            let expected = encode(framing, payload, &mut wire);
            prop_assert_eq!(outbox.reply(framing, payload, origin), expected);
            frames += u32::from(expected.is_ok());
            prop_assert_eq!(outbox.len(), wire.len());
        }
        prop_assert_eq!(outbox.frames(), frames);
        prop_assert!(pieces(&outbox, origin).concat() == wire);
    }
}
