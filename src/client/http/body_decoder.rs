//! The decoder of a response body: it finds the end of the body and returns the bytes before it.
//! This module must not know a socket.

use super::body_event::{BodyEvent, take_up_to};
use super::chunked::ChunkedDecoder;
use super::http_error::HttpError;
use super::response_head::ResponseHead;

/// The framings of a body.
#[derive(Debug)]
pub(super) enum BodyDecoder {
    /// The status does not allow a body: the response ends with its head.
    None,
    /// Ends after `declared_bytes` bytes.
    Length { received_bytes: u64, declared_bytes: u64 },
    /// Ends with a zero-size chunk.
    Chunked(ChunkedDecoder),
    /// Ends when the server closes the connection.
    UntilClosed,
}

impl BodyDecoder {
    /// Creates the decoder of the body that follows `head`, in the response to a GET: RFC 9112,
    /// section 6.3. What that section calls an error only as a recommendation ("ought to") is an
    /// error here.
    pub(super) fn for_response(head: &ResponseHead) -> Result<Self, HttpError> {
        if matches!(head.status(), 100..=199 | 204 | 304) {
            return Ok(Self::None);
        }
        let length = content_length(head)?;
        let codings: Vec<_> = head.items("Transfer-Encoding").filter(|coding| !coding.is_empty()).collect();
        match *codings {
            [] => {
                Ok(length
                    .map_or(Self::UntilClosed, |declared_bytes| Self::Length { received_bytes: 0, declared_bytes }))
            }
            // RFC 9112, section 6.1: the framing of an HTTP/1.0 message with Transfer-Encoding
            // is faulty.
            _ if head.is_http10() => Err(HttpError::CodingInHttp10),
            _ if length.is_some() => Err(HttpError::LengthAndCoding),
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => Ok(Self::Chunked(ChunkedDecoder::new())),
            _ => Err(HttpError::UnsupportedCoding(String::from_utf8_lossy(&codings.join(&b", "[..])).into_owned())),
        }
    }

    /// Returns the length of the body, if the head declares one.
    pub(super) fn content_length(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length { declared_bytes, .. } => Some(*declared_bytes),
            Self::Chunked(_) | Self::UntilClosed => None,
        }
    }

    /// Removes the bytes of the next event from the front of `input`.
    pub(super) fn next_event<'a>(&mut self, input: &mut &'a [u8]) -> Result<BodyEvent<'a>, HttpError> {
        let data = match self {
            Self::None => return Ok(BodyEvent::End),
            Self::Length { received_bytes, declared_bytes } if received_bytes == declared_bytes => {
                return Ok(BodyEvent::End);
            }
            Self::Length { received_bytes, declared_bytes } => {
                let data = take_up_to(input, *declared_bytes - *received_bytes);
                *received_bytes += data.len() as u64;
                data
            }
            Self::Chunked(chunked) => return chunked.next_event(input),
            Self::UntilClosed => std::mem::take(input),
        };
        Ok(if data.is_empty() { BodyEvent::NeedMore } else { BodyEvent::Data(data) })
    }

    /// Returns the declared length if more bytes violate it. After a body without one, further
    /// bytes do not belong to the response.
    pub(super) fn exact_length(&self) -> Option<u64> {
        match self {
            Self::Length { declared_bytes, .. } => Some(*declared_bytes),
            Self::None | Self::Chunked(_) | Self::UntilClosed => None,
        }
    }

    /// Handles a close by the server. Returns an error if the body is incomplete.
    pub(super) fn handle_close(&self) -> Result<(), HttpError> {
        match *self {
            Self::Length { received_bytes, declared_bytes } if received_bytes < declared_bytes => {
                Err(HttpError::TruncatedBody { received_bytes, declared_bytes })
            }
            Self::Chunked(ref chunked) => Err(HttpError::TruncatedChunks { received_bytes: chunked.received_bytes }),
            Self::None | Self::Length { .. } | Self::UntilClosed => Ok(()),
        }
    }
}

/// Returns the declared length. Repeated equal values are one: RFC 9110, section 8.6.
fn content_length(head: &ResponseHead) -> Result<Option<u64>, HttpError> {
    let mut agreed_length = None;
    for item in head.items("Content-Length") {
        let text = String::from_utf8_lossy(item);
        // `parse` alone would accept a leading plus sign.
        let digits = Some(&*text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(length) = digits.and_then(|digits| digits.parse::<u64>().ok()) else {
            return Err(HttpError::BadContentLength(text.into_owned()));
        };
        match agreed_length {
            Some(other) if other != length => return Err(HttpError::ConflictingLengths(other, length)),
            _ => agreed_length = Some(length),
        }
    }
    Ok(agreed_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(version: &str, status: u16, fields: &[&str]) -> Result<BodyDecoder, HttpError> {
        let head = format!("{version} {status} x\r\n{}\r\n\r\n", fields.join("\r\n"));
        BodyDecoder::for_response(&ResponseHead::parse(head.into()).unwrap())
    }

    fn counted(fields: &[&str]) -> Option<u64> {
        body("HTTP/1.1", 200, fields).unwrap().content_length()
    }

    #[test]
    fn content_length_values_must_be_equal_decimal_numbers() {
        assert_eq!(counted(&["Content-Length: 42"]), Some(42));
        assert_eq!(counted(&["content-length: 42, 42", "CONTENT-LENGTH: 0042"]), Some(42));
        assert_eq!(counted(&["Content-Length: 18446744073709551615"]), Some(u64::MAX));
        assert_eq!(counted(&["X: y"]), None);
        for length in ["", "x", "-1", "+1", "1 2", "0x10", "18446744073709551616", "1,", "1,,1", "1.0"] {
            let error = body("HTTP/1.1", 200, &[&format!("Content-Length: {length}")]).unwrap_err();
            assert!(matches!(error, HttpError::BadContentLength(_)), "{length}: {error}");
        }
        assert_eq!(body("HTTP/1.1", 200, &["Content-Length: 1, 2"]).unwrap_err(), HttpError::ConflictingLengths(1, 2));
        let apart = ["Content-Length: 1", "X: y", "Content-Length: 2"];
        assert_eq!(body("HTTP/1.1", 200, &apart).unwrap_err(), HttpError::ConflictingLengths(1, 2));
    }

    #[test]
    fn status_without_body_ignores_declared_length() {
        for status in [100, 199, 204, 304] {
            let body = body("HTTP/1.1", status, &["Content-Length: 5", "Transfer-Encoding: chunked"]).unwrap();
            assert_eq!(body.content_length(), Some(0), "{status}");
        }
    }

    #[test]
    fn chunked_must_be_the_only_transfer_coding() {
        for field in ["Transfer-Encoding: chunked", "transfer-encoding: , CHUNKED"] {
            assert!(matches!(body("HTTP/1.1", 200, &[field]), Ok(BodyDecoder::Chunked(_))), "{field}");
        }
        for (coding, expected) in [
            ("gzip, chunked", "gzip, chunked"),
            ("chunked, chunked", "chunked, chunked"),
            ("gzip", "gzip"),
            ("identity", "identity"),
            ("chunked;q=1", "chunked;q=1"),
        ] {
            let field = format!("Transfer-Encoding: {coding}");
            assert_eq!(
                body("HTTP/1.1", 200, &[&field]).unwrap_err(),
                HttpError::UnsupportedCoding(expected.to_owned())
            );
        }
        let both = ["Transfer-Encoding: chunked", "Content-Length: 5"];
        assert_eq!(body("HTTP/1.1", 200, &both).unwrap_err(), HttpError::LengthAndCoding);
        assert_eq!(body("HTTP/1.0", 200, &both[..1]).unwrap_err(), HttpError::CodingInHttp10);
    }
}
