use proptest::prelude::*;

use super::*;

/// Status, body and final result of a parsed response.
type ParsedResponse = (Option<u16>, Vec<u8>, Result<(), HttpError>);

/// Parses the pieces in order, and then the close of the connection.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> ParsedResponse {
    let (mut parser, mut status, mut body) = (HttpResponseParser::new(), None, Vec::new());
    for mut piece in pieces {
        loop {
            match parser.next_event(&mut piece) {
                Ok(Some(HttpEvent::Head(head))) => status = Some(head.status()),
                Ok(Some(HttpEvent::Body(bytes))) => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(bytes);
                }
                Ok(Some(HttpEvent::End)) => {}
                Ok(None) => break,
                Err(error) => return (status, body, Err(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (status, body, parser.handle_close())
}

fn whole(text: &str) -> ParsedResponse {
    read([text.as_bytes()])
}

fn good(status: u16, body: &str) -> ParsedResponse {
    (Some(status), body.into(), Ok(()))
}

#[test]
fn each_body_framing_has_its_end() {
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", good(200, "abc")),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", good(200, "abc")),
        ("HTTP/1.0 200 OK\r\n\r\nabc", good(200, "abc")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
            good(200, "abc"),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", good(204, "")),
        // The head is the end, whatever it says and whatever follows.
        ("HTTP/1.1 204 OK\r\nContent-Length: 4\r\n\r\nabcd", good(204, "")),
        ("HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", good(204, "")),
        ("HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\nabcd", good(304, "")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", good(200, "")),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200\r\n\r\nabc",
            good(200, "abc"),
        ),
    ] {
        assert_eq!(whole(text), expected, "{text}");
    }
}

#[test]
fn each_violation_has_its_error() {
    let endless_head = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
    let interim_count = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_INTERIM_RESPONSES as usize + 1);
    for (text, error) in [
        ("", HttpError::NoResponse),
        ("HTT", HttpError::TruncatedHead { received_bytes: 3 }),
        ("HTTP/1.1 200 OK\r\nA: b\r\n", HttpError::TruncatedHead { received_bytes: 23 }),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            HttpError::TruncatedBody { received_bytes: 2, declared_bytes: 3 },
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", HttpError::TrailingData { declared_bytes: 3 }),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            HttpError::TruncatedChunks { received_bytes: 2 },
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
            HttpError::TruncatedChunks { received_bytes: 2 },
        ),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", HttpError::SwitchingProtocols),
        ("HTTP/2 200\r\n\r\n", HttpError::UnsupportedVersion("HTTP/2".to_owned())),
        ("HTTP/0.9 200 OK\r\n\r\n", HttpError::UnsupportedVersion("HTTP/0.9".to_owned())),
        ("SSH-2.0-x\r\n", HttpError::NotHttp(b"SSH-2.0-x".to_vec())),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", HttpError::NotHttp(b"\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec())),
        (&endless_head, HttpError::HeadTooLong(MAX_HEAD_BYTES)),
        (&interim_count, HttpError::TooManyInterim(MAX_INTERIM_RESPONSES)),
    ] {
        assert_eq!(whole(text).2, Err(error), "{}", text.chars().take(60).collect::<String>());
    }
}

#[test]
fn status_that_is_an_error_comes_before_other_errors() {
    let (status, body, end) = whole("HTTP/1.1 404 Not Found\r\nContent-Length: x\r\n\r\nabc");
    assert_eq!((status, body, end), (Some(404), Vec::new(), Err(HttpError::BadContentLength("x".to_owned()))));
    let endless_head = format!("HTTP/1.1 404 Not Found\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
    for text in [&*endless_head, "HTTP/1.1 404 Not Found\r\nA: b", "HTTP/1.1 404 Not Found\r\nA b\r\n\r\n"] {
        let error = whole(text).2.unwrap_err().to_string();
        assert!(error.starts_with("the server responded 404 Not Found; "), "{error}");
    }
}

#[test]
fn other_protocols_are_named() {
    for (bytes, expected) in [
        (&b"\x15\x03\x01\x00\x02\x02\x0a"[..], "TLS"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "HTTP/2"),
        (b"<!DOCTYPE html>", "HTTP/0.9"),
        (b"220 mail\x1b[2J\r\n", r"starts with '220 mail\u{1b}[2J'"),
    ] {
        let message = read([bytes]).2.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// A naive parser for a complete, valid response.
fn oracle(text: &[u8]) -> Option<(u16, Vec<u8>)> {
    let text = std::str::from_utf8(text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
    if (100..200).contains(&status) {
        return oracle(body.as_bytes());
    }
    if !head.contains("chunked") {
        return Some((status, body.into()));
    }
    let (mut rest, mut whole) = (body, Vec::new());
    loop {
        let (line, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some((status, whole));
        }
        whole.extend_from_slice(after.get(..size)?.as_bytes());
        rest = after.get(size + 2..)?;
    }
}

/// Generates valid responses with each body framing.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::collection::vec("[a-z\r\n]{1,20}", 0..6);
    (pieces, 0..3_u8, any::<bool>(), "(;[a-z]{0,5})?").prop_map(|(pieces, form, interim, extension)| {
        let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
        let body = pieces.concat();
        let (fields, body) = match form {
            0 => (format!("Content-Length: {}\r\n", body.len()), body),
            1 => (String::new(), body),
            _ => {
                let chunk = |piece: &String| format!("{:x}{extension}\r\n{piece}\r\n", piece.len());
                let chunks: String = pieces.iter().map(chunk).collect();
                ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{chunks}0\r\nEnd: yes\r\n\r\n"))
            }
        };
        format!("{interim}HTTP/1.1 200 OK\r\n{fields}\r\n{body}").into_bytes()
    })
}

/// Splits the bytes at the given places.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    places.push(bytes.len());
    places.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

/// Removes the excerpts of invalid bytes from errors, because their length depends on the splits.
fn without_excerpts(expected: ParsedResponse) -> ParsedResponse {
    let (status, body, end) = expected;
    let end = end.map_err(|error| match error {
        HttpError::NotHttp(_) | HttpError::UnsupportedVersion(_) => HttpError::NotHttp(Vec::new()),
        HttpError::BadChunkSize(_) => HttpError::BadChunkSize(Vec::new()),
        other => other,
    });
    (status, body, end)
}

proptest! {
    #[test]
    fn split_response_parses_like_the_naive_parser(
        answer in answers(),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let (status, body) = oracle(&answer).unwrap();
        prop_assert_eq!(read(cut(&answer, &places)), (Some(status), body, Ok(())));
        prop_assert_eq!(read(answer.chunks(1)), read([&answer[..]]));
    }

    /// A response with one changed byte gives the same result at every split, and the parser never
    /// panics.
    #[test]
    fn corrupted_response_parses_the_same_at_every_split(
        mut answer in answers(),
        place in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'f')],
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let at = place.index(answer.len());
        answer[at] = byte;
        let whole = without_excerpts(read([&answer[..]]));
        prop_assert_eq!(without_excerpts(read(cut(&answer, &places))), whole.clone());
        prop_assert_eq!(without_excerpts(read(answer.chunks(1))), whole);
    }
}
