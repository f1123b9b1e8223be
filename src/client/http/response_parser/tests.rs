use proptest::prelude::*;

use super::*;

/// What an answer comes to: status, body, and how it ends.
type Outcome = (Option<u16>, Vec<u8>, Result<(), Fault>);

/// Gives the pieces one after the other, and then the end of the connection.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut response, mut status, mut body) = (Response::new(), None, Vec::new());
    for mut piece in pieces {
        loop {
            match response.next_event(&mut piece) {
                Ok(Some(Event::Head(head))) => status = Some(head.status()),
                Ok(Some(Event::Body(bytes))) => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(bytes);
                }
                Ok(Some(Event::End)) => {}
                Ok(None) => break,
                Err(fault) => return (status, body, Err(fault)),
            }
        }
        assert!(piece.is_empty());
    }
    (status, body, response.handle_close())
}

fn whole(text: &str) -> Outcome {
    read([text.as_bytes()])
}

fn good(status: u16, body: &str) -> Outcome {
    (Some(status), body.into(), Ok(()))
}

#[test]
fn each_form_of_a_body_ends_as_it_says() {
    for (text, outcome) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", good(200, "abc")),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", good(200, "abc")),
        ("HTTP/1.0 200 OK\r\n\r\nabc", good(200, "abc")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
            good(200, "abc"),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", good(204, "")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", good(200, "")),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200\r\n\r\nabc",
            good(200, "abc"),
        ),
    ] {
        assert_eq!(whole(text), outcome, "{text}");
    }
}

#[test]
fn each_lie_is_told_apart() {
    let endless_head = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
    let interims = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_INTERIMS as usize + 1);
    for (text, fault) in [
        ("", Fault::Silent),
        ("HTT", Fault::HeadCut { received: 3 }),
        ("HTTP/1.1 200 OK\r\nA: b\r\n", Fault::HeadCut { received: 23 }),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Fault::Short { received: 2, promised: 3 }),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", Fault::Surplus { promised: 3 }),
        ("HTTP/1.1 204 OK\r\n\r\nabcd", Fault::Surplus { promised: 0 }),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Fault::ChunksCut { received: 2 }),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", Fault::ChunksCut { received: 2 }),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Fault::Switched),
        ("HTTP/2 200\r\n\r\n", Fault::Version("HTTP/2".to_owned())),
        ("HTTP/0.9 200 OK\r\n\r\n", Fault::Version("HTTP/0.9".to_owned())),
        ("SSH-2.0-x\r\n", Fault::NotHttp(b"SSH-2.0-x".to_vec())),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Fault::NotHttp(b"\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec())),
        (&endless_head, Fault::HeadTooLong(MAX_HEAD_BYTES)),
        (&interims, Fault::TooManyInterims(MAX_INTERIMS)),
    ] {
        assert_eq!(whole(text).2, Err(fault), "{}", text.chars().take(60).collect::<String>());
    }
}

#[test]
fn who_speaks_something_else_is_named() {
    for (bytes, words) in [
        (&b"\x15\x03\x01\x00\x02\x02\x0a"[..], "TLS"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "HTTP/2"),
        (b"<!DOCTYPE html>", "HTTP/0.9"),
        (b"220 mail\x1b[2J\r\n", r"begins with '220 mail\u{1b}[2J'"),
    ] {
        let said = read([bytes]).2.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}

/// A reader that has all of it at once, knows nothing of pieces, and believes everything.
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

/// An answer in some form, right in itself.
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

/// The bytes, cut at these places.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    places.push(bytes.len());
    places.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

/// Where a connection is cut, more or less of wrong first bytes is there to be shown.
fn without_excerpts(outcome: Outcome) -> Outcome {
    let (status, body, end) = outcome;
    let end = end.map_err(|fault| match fault {
        Fault::NotHttp(_) | Fault::Version(_) => Fault::NotHttp(Vec::new()),
        Fault::BadChunkSize(_) => Fault::BadChunkSize(Vec::new()),
        other => other,
    });
    (status, body, end)
}

proptest! {
    #[test]
    fn however_an_answer_is_cut_it_is_what_a_naive_reader_finds(
        answer in answers(),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let (status, body) = oracle(&answer).unwrap();
        prop_assert_eq!(read(cut(&answer, &places)), (Some(status), body, Ok(())));
        prop_assert_eq!(read(answer.chunks(1)), read([&answer[..]]));
    }

    /// Spoiled at one place, it is spoiled in the same way however it is cut, and nothing panics.
    #[test]
    fn however_a_spoiled_answer_is_cut_it_comes_to_the_same(
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
