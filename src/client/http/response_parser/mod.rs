//! A sans-IO parser of one HTTP/1.1 response: bytes in, events out. This module must not know a
//! socket or a clock.

use super::body_decoder::BodyDecoder;
use super::body_event::BodyEvent;
use super::header_reader::HeaderReader;
use super::http_error::HttpError;
use super::response_head::{ResponseHead, with_status};

/// Maximum length of one head in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Maximum number of interim responses (1xx) before the final one. Servers send one or two.
const MAX_INTERIM_RESPONSES: u32 = 16;

/// The first bytes of every HTTP/1 response.
const HTTP_PREFIX: &[u8] = b"HTTP/1.";

/// Maximum number of bytes of an invalid response in an error message.
const MAX_EXCERPT_BYTES: usize = 32;

/// The parser of the response to one GET request. The split of the input into pieces does not
/// change the events, except for the boundaries of [`HttpEvent::Body`].
///
/// ```
/// use switchboard::client::http::{HttpEvent, HttpResponseParser};
///
/// let mut parser = HttpResponseParser::new();
/// let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
/// let Some(HttpEvent::Head(head)) = parser.next_event(&mut input)? else { panic!() };
/// assert_eq!((head.status(), parser.content_length()), (200, Some(5)));
/// assert_eq!(parser.next_event(&mut input)?, Some(HttpEvent::Body(b"hello")));
/// assert_eq!(parser.next_event(&mut input)?, Some(HttpEvent::End));
/// # Ok::<(), switchboard::client::http::HttpError>(())
/// ```
#[derive(Debug)]
pub struct HttpResponseParser {
    state: HttpParserState,
    interim_count: u32,
}

/// The part of the response that the parser expects.
#[derive(Debug)]
enum HttpParserState {
    Head(HeaderReader),
    Body(BodyDecoder),
    /// The head of an unsuccessful response was returned, and its body has no valid framing.
    Unframed(HttpError),
    /// The response is complete.
    Done {
        content_length: Option<u64>,
        /// The declared length, if more bytes violate it.
        exact_length: Option<u64>,
    },
}

/// One part of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum HttpEvent<'a> {
    /// The head of the final response. Interim responses are skipped.
    Head(ResponseHead),
    /// Bytes of the body, never empty.
    Body(&'a [u8]),
    /// The body is complete. A body without a declared end has no `End`, see
    /// [`handle_close`](HttpResponseParser::handle_close).
    End,
}

impl HttpResponseParser {
    /// Creates a parser at the start of a response.
    pub fn new() -> Self {
        Self { state: HttpParserState::Head(HeaderReader::default()), interim_count: 0 }
    }

    /// Removes the bytes of the next event from the front of `input`. Returns `None` after it has
    /// consumed all input: the parser needs more, or the response is complete.
    ///
    /// # Errors
    /// [`HttpError`] if the response is invalid, unsupported or over a limit. The parser must not
    /// be used afterwards.
    pub fn next_event<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<HttpEvent<'a>>, HttpError> {
        loop {
            match &mut self.state {
                HttpParserState::Head(reader) => {
                    check_prefix(reader.buffer(), input)?;
                    let Ok(taken) = reader.take(input, MAX_HEAD_BYTES) else {
                        return Err(with_status(HttpError::HeadTooLong(MAX_HEAD_BYTES), reader.buffer()));
                    };
                    let Some(raw) = taken else { return Ok(None) };
                    let head = ResponseHead::parse(raw)?;
                    match head.status() {
                        101 => return Err(HttpError::SwitchingProtocols),
                        100..=199 => self.count_interim()?,
                        status => {
                            self.state = match BodyDecoder::for_response(&head) {
                                Ok(body) => HttpParserState::Body(body),
                                Err(error) if matches!(status, 200..=299) => return Err(error),
                                // The status matters more to the caller.
                                Err(error) => HttpParserState::Unframed(error),
                            };
                            return Ok(Some(HttpEvent::Head(head)));
                        }
                    }
                }
                HttpParserState::Body(body) => match body.next_event(input)? {
                    BodyEvent::NeedMore => return Ok(None),
                    BodyEvent::Data(data) => return Ok(Some(HttpEvent::Body(data))),
                    BodyEvent::End => {
                        let (content_length, exact_length) = (body.content_length(), body.exact_length());
                        self.state = HttpParserState::Done { content_length, exact_length };
                        return Ok(Some(HttpEvent::End));
                    }
                },
                HttpParserState::Unframed(error) => return Err(error.clone()),
                HttpParserState::Done { .. } if input.is_empty() => return Ok(None),
                HttpParserState::Done { exact_length: Some(declared_bytes), .. } => {
                    return Err(HttpError::TrailingData { declared_bytes: *declared_bytes });
                }
                // Bytes after the last chunk, or after a head that ends the response, do not belong
                // to it: discard them.
                HttpParserState::Done { exact_length: None, .. } => {
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// Handles a close by the server. It ends a body that has neither Content-Length nor chunked
    /// coding.
    ///
    /// # Errors
    /// [`HttpError`] if the response is incomplete.
    pub fn handle_close(&mut self) -> Result<(), HttpError> {
        match &self.state {
            HttpParserState::Head(reader) if reader.buffer().is_empty() => return Err(HttpError::NoResponse),
            HttpParserState::Head(reader) => {
                let received_bytes = reader.buffer().len();
                return Err(with_status(HttpError::TruncatedHead { received_bytes }, reader.buffer()));
            }
            HttpParserState::Unframed(error) => return Err(error.clone()),
            HttpParserState::Body(body) => body.handle_close()?,
            HttpParserState::Done { .. } => {}
        }
        self.state = HttpParserState::Done { content_length: None, exact_length: None };
        Ok(())
    }

    /// Returns the declared length of the body in bytes; `None` before the head, after
    /// [`handle_close`](Self::handle_close), or if the head declares none.
    pub fn content_length(&self) -> Option<u64> {
        match &self.state {
            HttpParserState::Body(body) => body.content_length(),
            HttpParserState::Done { content_length, .. } => *content_length,
            HttpParserState::Head(_) | HttpParserState::Unframed(_) => None,
        }
    }

    fn count_interim(&mut self) -> Result<(), HttpError> {
        self.interim_count += 1;
        if self.interim_count > MAX_INTERIM_RESPONSES {
            return Err(HttpError::TooManyInterim(MAX_INTERIM_RESPONSES));
        }
        Ok(())
    }
}

impl Default for HttpResponseParser {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns an error at the first byte that does not match [`HTTP_PREFIX`]. A server of another
/// protocol may send less than a line and then wait, so the check cannot wait for the line's end.
fn check_prefix(buffer: &[u8], input: &[u8]) -> Result<(), HttpError> {
    if buffer.len() >= HTTP_PREFIX.len() {
        return Ok(());
    }
    let start: Vec<u8> = buffer.iter().chain(input).take(MAX_EXCERPT_BYTES).copied().collect();
    if start.iter().zip(HTTP_PREFIX).all(|(byte, expected)| byte == expected) {
        return Ok(());
    }
    let line: Vec<u8> = start.iter().copied().take_while(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    match line.strip_prefix(b"HTTP/") {
        Some(rest) if !rest.is_empty() => {
            let version = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            Err(HttpError::UnsupportedVersion(format!("HTTP/{}", String::from_utf8_lossy(version))))
        }
        _ if line.is_empty() || line.len() < 4 => Err(HttpError::NotHttp(start)),
        _ => Err(HttpError::NotHttp(line)),
    }
}

#[cfg(test)]
mod tests;
