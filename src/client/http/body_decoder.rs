//! Where a body ends, and its bytes up to there. Knows heads and no socket.

use super::chunked::Chunked;
use super::http_error::Fault;
use super::response_head::Head;

/// How a body ends.
#[derive(Debug)]
pub(super) enum Body {
    /// After as many bytes as were promised; none, where there is no body.
    Counted { received: u64, promised: u64 },
    /// With a chunk of its own.
    Chunked(Chunked),
    /// With the connection.
    UntilClosed,
}

/// What the bytes were.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Nothing that makes a difference; all were taken.
    None,
    Data(&'a [u8]),
    End,
}

impl Body {
    /// What follows a head, by the rules of RFC 9112, section 6.3, for the answer to a GET. What that section says ought to be treated
    /// as an error is one.
    pub(super) fn after(head: &Head) -> Result<Self, Fault> {
        if matches!(head.status(), 100..=199 | 204 | 304) {
            return Ok(Self::Counted { received: 0, promised: 0 });
        }
        let length = content_length(head)?;
        let codings: Vec<_> = head.items("Transfer-Encoding").filter(|coding| !coding.is_empty()).collect();
        match *codings {
            [] => Ok(length.map_or(Self::UntilClosed, |promised| Self::Counted { received: 0, promised })),
            // Section 6.1: "A client that receives a response … MUST treat it as if the framing is faulty".
            _ if head.is_http_1_0() => Err(Fault::OldChunks),
            _ if length.is_some() => Err(Fault::LengthAndChunks),
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => Ok(Self::Chunked(Chunked::new())),
            _ => Err(Fault::Coding(String::from_utf8_lossy(&codings.join(&b", "[..])).into_owned())),
        }
    }

    /// How long the body is, where the head says so.
    pub(super) fn promised(&self) -> Option<u64> {
        match self {
            Self::Counted { promised, .. } => Some(*promised),
            Self::Chunked(_) | Self::UntilClosed => None,
        }
    }

    /// Takes bytes from the front of `input`.
    pub(super) fn next_piece<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Fault> {
        let data = match self {
            Self::Counted { received, promised } if received == promised => return Ok(Piece::End),
            Self::Counted { received, promised } => {
                let data = take_up_to(input, *promised - *received);
                *received += data.len() as u64;
                data
            }
            Self::Chunked(chunked) => return chunked.next_piece(input),
            Self::UntilClosed => std::mem::take(input),
        };
        Ok(if data.is_empty() { Piece::None } else { Piece::Data(data) })
    }

    /// The server has closed: whether the body is whole.
    pub(super) fn handle_close(&self) -> Result<(), Fault> {
        match *self {
            Self::Counted { received, promised } if received < promised => Err(Fault::Short { received, promised }),
            Self::Chunked(ref chunked) => Err(Fault::ChunksCut { received: chunked.received }),
            Self::Counted { .. } | Self::UntilClosed => Ok(()),
        }
    }
}

/// The promised length. Several that agree are one: RFC 9110, section 8.6.
fn content_length(head: &Head) -> Result<Option<u64>, Fault> {
    let mut agreed = None;
    for item in head.items("Content-Length") {
        let text = String::from_utf8_lossy(item);
        // A sign would parse, too.
        let digits = Some(&*text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(length) = digits.and_then(|digits| digits.parse::<u64>().ok()) else {
            return Err(Fault::BadLength(text.into_owned()));
        };
        match agreed {
            Some(other) if other != length => return Err(Fault::Lengths(other, length)),
            _ => agreed = Some(length),
        }
    }
    Ok(agreed)
}

/// Takes at most so many bytes from the front.
pub(super) fn take_up_to<'a>(input: &mut &'a [u8], max_bytes: u64) -> &'a [u8] {
    let taken = usize::try_from(max_bytes).map_or(input.len(), |max_bytes| max_bytes.min(input.len()));
    let (front, rest) = input.split_at(taken);
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(version: &str, status: u16, fields: &[&str]) -> Result<Body, Fault> {
        let head = format!("{version} {status} x\r\n{}\r\n\r\n", fields.join("\r\n"));
        Body::after(&Head::parse(head.into()).unwrap())
    }

    fn counted(fields: &[&str]) -> Option<u64> {
        body("HTTP/1.1", 200, fields).unwrap().promised()
    }

    #[test]
    fn a_length_is_agreed_on() {
        assert_eq!(counted(&["Content-Length: 42"]), Some(42));
        assert_eq!(counted(&["content-length: 42, 42", "CONTENT-LENGTH: 0042"]), Some(42));
        assert_eq!(counted(&["Content-Length: 18446744073709551615"]), Some(u64::MAX));
        assert_eq!(counted(&["X: y"]), None);
        for length in ["", "x", "-1", "+1", "1 2", "0x10", "18446744073709551616", "1,", "1,,1", "1.0"] {
            let fault = body("HTTP/1.1", 200, &[&format!("Content-Length: {length}")]).unwrap_err();
            assert!(matches!(fault, Fault::BadLength(_)), "{length}: {fault}");
        }
        assert_eq!(body("HTTP/1.1", 200, &["Content-Length: 1, 2"]).unwrap_err(), Fault::Lengths(1, 2));
        let apart = ["Content-Length: 1", "X: y", "Content-Length: 2"];
        assert_eq!(body("HTTP/1.1", 200, &apart).unwrap_err(), Fault::Lengths(1, 2));
    }

    #[test]
    fn who_has_no_body_has_none_whatever_is_promised() {
        for status in [100, 199, 204, 304] {
            let body = body("HTTP/1.1", status, &["Content-Length: 5", "Transfer-Encoding: chunked"]).unwrap();
            assert_eq!(body.promised(), Some(0), "{status}");
        }
    }

    #[test]
    fn chunks_are_chunks_alone() {
        for field in ["Transfer-Encoding: chunked", "transfer-encoding: , CHUNKED"] {
            assert!(matches!(body("HTTP/1.1", 200, &[field]), Ok(Body::Chunked(_))), "{field}");
        }
        for (coding, said) in [
            ("gzip, chunked", "gzip, chunked"),
            ("chunked, chunked", "chunked, chunked"),
            ("gzip", "gzip"),
            ("identity", "identity"),
            ("chunked;q=1", "chunked;q=1"),
        ] {
            let field = format!("Transfer-Encoding: {coding}");
            assert_eq!(body("HTTP/1.1", 200, &[&field]).unwrap_err(), Fault::Coding(said.to_owned()));
        }
        let both = ["Transfer-Encoding: chunked", "Content-Length: 5"];
        assert_eq!(body("HTTP/1.1", 200, &both).unwrap_err(), Fault::LengthAndChunks);
        assert_eq!(body("HTTP/1.0", 200, &both[..1]).unwrap_err(), Fault::OldChunks);
    }
}
