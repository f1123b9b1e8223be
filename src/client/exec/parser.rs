//! An incremental parser for one response.

use super::error::ExecResponseError;
use super::header::{is_md5, read_header};
use super::response::{ExecResponse, MAX_HEADER_BYTES, MAX_OUTPUT_BYTES, ResponseHeader};
use crate::frame::TextEncoding;
use crate::services::exec::wire::{ExecDialect, READY, START, md5_hex};

/// Number of decimal digits of [`MAX_OUTPUT_BYTES`].
const MAX_LENGTH_DIGITS: usize = 8;

/// Maximum number of characters of an invalid response in an error message.
const MAX_EXCERPT_CHARS: usize = 20;

/// The parser of one response.
///
/// ```
/// use switchboard::client::exec::{ExecDialect, ParseStep, ResponseParser};
/// let mut parser = ResponseParser::new(ExecDialect::Length);
/// assert_eq!(parser.push(&[2, 0, 0, 0, b'h'])?, ParseStep::NeedMore);
/// assert_eq!(parser.push(b"i")?, ParseStep::Done);
/// assert_eq!(parser.into_response().output, b"hi");
/// # Ok::<(), switchboard::client::exec::ExecResponseError>(())
/// ```
#[derive(Debug)]
pub struct ResponseParser {
    state: ParserState,
    /// Bytes of the current part; in the state `Done`, the output.
    buffer: Vec<u8>,
    header: Option<ResponseHeader>,
    /// The encoding of the header.
    encoding: TextEncoding,
}

/// The part of the response that the parser expects.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ParserState {
    Length,
    HeaderLength,
    Header(usize),
    Ready,
    Output { bytes: usize, md5: Option<String> },
    Done,
}

/// The next step of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseStep {
    /// Receive more bytes, then call [`push`](ResponseParser::push).
    NeedMore,
    /// The received bytes may be complete or not: a length in [`ExecDialect::Ready`] has no end
    /// mark. Receive with a short timeout. If it expires, call
    /// [`timeout`](ResponseParser::timeout).
    WaitForMore,
    /// Send these bytes to the server, then call [`push`](ResponseParser::push) with no bytes: the
    /// output may be empty.
    Send(&'static str),
    /// The response is complete.
    Done,
}

impl ResponseParser {
    /// Creates a parser for a response in this dialect.
    pub fn new(dialect: ExecDialect) -> Self {
        let state = match dialect {
            ExecDialect::Length => ParserState::Length,
            ExecDialect::Header => ParserState::HeaderLength,
            ExecDialect::Ready => ParserState::Ready,
        };
        Self { state, buffer: Vec::new(), header: None, encoding: TextEncoding::UTF_8 }
    }

    /// Sets the encoding of the header: UTF-8 by default. Invalid bytes are replaced, because only
    /// the length must be right.
    #[must_use]
    pub fn with_encoding(self, encoding: TextEncoding) -> Self {
        Self { encoding, ..self }
    }

    /// Handles received bytes. After [`Done`](ParseStep::Done), pass any byte that follows the
    /// response, which is an error.
    ///
    /// # Errors
    /// [`ExecResponseError`] if the bytes are not a valid response, or if bytes follow it. The
    /// parser must not be used afterwards.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<ParseStep, ExecResponseError> {
        loop {
            let wanted_bytes = match &self.state {
                ParserState::Length | ParserState::HeaderLength => 4,
                ParserState::Header(wanted_bytes) | ParserState::Output { bytes: wanted_bytes, .. } => *wanted_bytes,
                ParserState::Ready => return self.push_ready(bytes),
                ParserState::Done if bytes.is_empty() => return Ok(ParseStep::Done),
                ParserState::Done => return Err(ExecResponseError::TrailingData { declared_bytes: self.buffer.len() }),
            };
            let (consumed, rest) = bytes.split_at(bytes.len().min(wanted_bytes.saturating_sub(self.buffer.len())));
            self.buffer.extend_from_slice(consumed);
            bytes = rest;
            if self.buffer.len() < wanted_bytes {
                return Ok(ParseStep::NeedMore);
            }
            self.state = self.finish_part()?;
        }
    }

    /// Handles the timeout that [`ParseStep::WaitForMore`] asked for.
    ///
    /// # Errors
    /// [`ExecResponseError`] if the received bytes are not a valid length.
    pub fn timeout(&mut self) -> Result<ParseStep, ExecResponseError> {
        if self.state != ParserState::Ready {
            return Ok(if self.state == ParserState::Done { ParseStep::Done } else { ParseStep::NeedMore });
        }
        let bytes = self.declared_bytes()?.ok_or_else(|| self.not_ready())?;
        self.buffer.clear();
        self.state = output_state(bytes as u64, None)?;
        Ok(ParseStep::Send(START))
    }

    /// Returns the error for a connection that ended before [`ParseStep::Done`]. It has no meaning
    /// after that.
    pub fn finish(&self) -> ExecResponseError {
        let received_bytes = self.buffer.len();
        let (part, expected_bytes) = match &self.state {
            ParserState::Length | ParserState::HeaderLength if received_bytes == 0 => ("a response", None),
            ParserState::Length => ("the length", Some(4)),
            ParserState::HeaderLength => ("the header's length", Some(4)),
            ParserState::Header(bytes) => ("the header", Some(*bytes)),
            ParserState::Ready => ("a response", None),
            ParserState::Output { bytes, .. } => ("the output", Some(*bytes)),
            ParserState::Done => ("nothing", None),
        };
        ExecResponseError::UnexpectedEof { part, received_bytes, expected_bytes }
    }

    /// Returns the response. Call this after [`ParseStep::Done`] only: before that, `output` may
    /// hold bytes of a length or of the header.
    pub fn into_response(self) -> ExecResponse {
        ExecResponse { header: self.header, output: self.buffer }
    }

    /// Handles a part whose bytes are complete, and returns the next state.
    fn finish_part(&mut self) -> Result<ParserState, ExecResponseError> {
        match std::mem::replace(&mut self.state, ParserState::Done) {
            ParserState::Length => {
                let prefix = self.take_length();
                if READY.as_bytes().starts_with(&prefix) {
                    return Err(ExecResponseError::UnexpectedReady);
                }
                let length = i32::from_le_bytes(prefix);
                output_state(u64::try_from(length).map_err(|_| ExecResponseError::NegativeLength(length))?, None)
            }
            ParserState::HeaderLength => {
                let prefix = self.take_length();
                let length = u32::from_le_bytes(prefix);
                match usize::try_from(length) {
                    _ if READY.as_bytes().starts_with(&prefix) => Err(ExecResponseError::UnexpectedReady),
                    Ok(length @ 0..=MAX_HEADER_BYTES) => Ok(ParserState::Header(length)),
                    _ => Err(ExecResponseError::HeaderTooLong(length)),
                }
            }
            ParserState::Header(_) => {
                let (header, bytes) = read_header(&std::mem::take(&mut self.buffer), self.encoding)?;
                let md5 = header.md5.clone().filter(|md5| is_md5(md5));
                self.header = Some(header);
                output_state(bytes, md5)
            }
            ParserState::Output { md5: Some(md5), .. } => {
                if !md5.eq_ignore_ascii_case(&md5_hex(&self.buffer)) {
                    return Err(ExecResponseError::WrongChecksum);
                }
                if let Some(header) = &mut self.header {
                    header.is_verified = true;
                }
                Ok(ParserState::Done)
            }
            ParserState::Output { .. } | ParserState::Ready | ParserState::Done => Ok(ParserState::Done),
        }
    }

    fn take_length(&mut self) -> [u8; 4] {
        std::mem::take(&mut self.buffer).try_into().unwrap_or_default()
    }

    /// Handles bytes in [`ParserState::Ready`].
    fn push_ready(&mut self, bytes: &[u8]) -> Result<ParseStep, ExecResponseError> {
        // One byte beyond the longest valid length shows that the length is too long. Later bytes
        // are dropped, so the error shows the first digits only.
        let room = (READY.len() + MAX_LENGTH_DIGITS + 1).saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        Ok(if self.declared_bytes()?.is_some() { ParseStep::WaitForMore } else { ParseStep::NeedMore })
    }

    /// Returns the declared length, if at least one digit was received.
    fn declared_bytes(&self) -> Result<Option<usize>, ExecResponseError> {
        let ready = READY.as_bytes();
        let Some(digits) = self.buffer.strip_prefix(ready) else {
            return if ready.starts_with(&self.buffer) { Ok(None) } else { Err(self.not_ready()) };
        };
        // Some servers end the length with a line break.
        let digits = digits.trim_ascii_end();
        if digits.is_empty() {
            return Ok(None);
        }
        let number = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u64 = number.and_then(|digits| digits.parse().ok()).ok_or_else(|| self.not_ready())?;
        usize::try_from(number)
            .ok()
            .filter(|bytes| *bytes <= MAX_OUTPUT_BYTES)
            .map(Some)
            .ok_or(ExecResponseError::OutputTooLong(number))
    }

    fn not_ready(&self) -> ExecResponseError {
        let text = String::from_utf8_lossy(&self.buffer);
        ExecResponseError::MissingReady(text.chars().take(MAX_EXCERPT_CHARS).flat_map(char::escape_debug).collect())
    }
}

/// Returns the state that expects the output, after a check of its declared length.
fn output_state(bytes: u64, md5: Option<String>) -> Result<ParserState, ExecResponseError> {
    let fits = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_OUTPUT_BYTES);
    fits.map(|bytes| ParserState::Output { bytes, md5 }).ok_or(ExecResponseError::OutputTooLong(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str, output: &[u8]) -> Vec<u8> {
        [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], json.as_bytes(), output].concat()
    }

    /// Parses `bytes` in pieces of `size` bytes.
    fn push(dialect: ExecDialect, bytes: &[u8], size: usize) -> Result<ExecResponse, ExecResponseError> {
        let (mut parser, mut step) = (ResponseParser::new(dialect), ParseStep::NeedMore);
        for piece in bytes.chunks(size) {
            step = parser.push(piece)?;
        }
        if step == ParseStep::Done { Ok(parser.into_response()) } else { Err(parser.finish()) }
    }

    #[test]
    fn response_parses_the_same_at_every_split() {
        let full = r#"{"filename":"ls","total_size":2,"md5":"49F68A5C8493EC2C0BF489821C21FC3B","exit_code":3,"truncated":true,"more":[1]}"#;
        let full_header = ResponseHeader {
            filename: Some("ls".into()),
            exit_code: Some(Some(3)),
            truncated: true,
            md5: Some("49F68A5C8493EC2C0BF489821C21FC3B".into()),
            is_verified: true,
        };
        let placeholder = ResponseHeader { md5: Some("00".into()), ..ResponseHeader::default() };
        let text = ResponseHeader { exit_code: Some(Some(-1)), ..ResponseHeader::default() };
        let killed = ResponseHeader { exit_code: Some(None), ..ResponseHeader::default() };
        for (dialect, bytes, header) in [
            (ExecDialect::Length, b"\x02\0\0\0hi".to_vec(), None),
            (ExecDialect::Header, header(full, b"hi"), Some(full_header)),
            (ExecDialect::Header, header(r#"{"total_size":2}"#, b"hi"), Some(ResponseHeader::default())),
            (ExecDialect::Header, header(r#"{"exit_code":null,"total_size":2}"#, b"hi"), Some(killed)),
            (ExecDialect::Header, header(r#"{"md5":"00","total_size":2}"#, b"hi"), Some(placeholder)),
            (ExecDialect::Header, header(r#"{"exit_code":"-1","total_size":"2"}"#, b"hi"), Some(text)),
            (
                ExecDialect::Header,
                header(r#"{"exit_code":"x","md5":7,"filename":[],"total_size":2}"#, b"hi"),
                Some(ResponseHeader::default()),
            ),
        ] {
            for size in 1..=bytes.len() {
                let response = push(dialect, &bytes, size).unwrap();
                assert_eq!(response, ExecResponse { header: header.clone(), output: b"hi".to_vec() });
            }
        }
        assert_eq!(push(ExecDialect::Length, &[0; 4], 4).unwrap(), ExecResponse::default());
    }

    #[test]
    fn ready_response_is_started_when_its_length_is_complete() {
        let mut parser = ResponseParser::new(ExecDialect::Ready);
        for (piece, step) in [
            ("Re", ParseStep::NeedMore),
            ("ady|", ParseStep::NeedMore),
            ("1", ParseStep::WaitForMore),
            ("0", ParseStep::WaitForMore),
        ] {
            assert_eq!(parser.push(piece.as_bytes()), Ok(step));
        }
        assert_eq!(parser.timeout(), Ok(ParseStep::Send(START)));
        assert_eq!(parser.push(b"01234"), Ok(ParseStep::NeedMore));
        assert_eq!(parser.timeout(), Ok(ParseStep::NeedMore));
        assert_eq!(parser.push(b"56789"), Ok(ParseStep::Done));
        assert_eq!(parser.into_response().output, b"0123456789");
    }

    #[test]
    fn empty_ready_response_is_complete_after_start() {
        let mut parser = ResponseParser::new(ExecDialect::Ready);
        assert_eq!(parser.push(b"Ready|0"), Ok(ParseStep::WaitForMore));
        assert_eq!(parser.timeout(), Ok(ParseStep::Send(START)));
        assert_eq!(parser.push(b""), Ok(ParseStep::Done));
        assert_eq!(parser.into_response().output, b"");
    }

    #[test]
    fn each_invalid_response_has_its_error() {
        let negative = (-1_i32).to_le_bytes();
        let huge = i32::MAX.to_le_bytes();
        for (dialect, bytes, expected) in [
            (ExecDialect::Length, negative.to_vec(), "invalid response length: -1 bytes"),
            (ExecDialect::Length, huge.to_vec(), "2147483647 bytes (maximum 67108864)"),
            (ExecDialect::Length, b"\x05\0\0\0hi".to_vec(), "connection after 2 of 5 bytes of the output"),
            (ExecDialect::Length, b"\x05\0".to_vec(), "connection after 2 of 4 bytes of the length"),
            (ExecDialect::Length, Vec::new(), "closed the connection before a response"),
            (ExecDialect::Length, b"Ready|5".to_vec(), "the server speaks the dialect ready"),
            (ExecDialect::Length, b"\x02\0\0\0hi\n".to_vec(), "more than the declared 2 bytes"),
            (ExecDialect::Length, b"\0\0\0\0\0".to_vec(), "more than the declared 0 bytes"),
            (ExecDialect::Header, header(r#"{"total_size":2}"#, b"hi!"), "does the server speak another dialect?"),
            (ExecDialect::Header, negative.to_vec(), "header too large: 4294967295 bytes"),
            (ExecDialect::Header, header("{", b""), "is not a JSON object"),
            (ExecDialect::Header, header("", b""), "is not a JSON object"),
            (ExecDialect::Header, header("[]", b""), "is not a JSON object"),
            (ExecDialect::Header, header("{}", b""), "lacks the length of the output, total_size"),
            (ExecDialect::Header, header(r#"{"total_size":-5}"#, b""), "lacks the length of the output, total_size"),
            (ExecDialect::Header, header(r#"{"total_size":68719476736}"#, b""), "68719476736 bytes"),
            (ExecDialect::Header, header(r#"{"total_size":"2 "}"#, b""), "lacks the length of the output, total_size"),
            (
                ExecDialect::Header,
                header(r#"{"total_size":2,"md5":"d41d8cd98f00b204e9800998ecf8427e"}"#, b"hi"),
                "does not have the MD5",
            ),
            (ExecDialect::Header, header(r#"{"total_size":3}"#, b"hi"), "connection after 2 of 3 bytes of the output"),
            (ExecDialect::Ready, b"cmd ERROR".to_vec(), "starts with 'cmd ERROR' instead of Ready|"),
            (ExecDialect::Ready, b"Ready|-1".to_vec(), "starts with 'Ready|-1'"),
            (ExecDialect::Ready, b"Ready|123456789".to_vec(), "123456789 bytes (maximum"),
            (ExecDialect::Ready, vec![b'\x1b'; 100], r"starts with '\u{1b}"),
        ] {
            for size in 1..=bytes.len().max(1) {
                let error = push(dialect, &bytes, size).unwrap_err().to_string();
                // An invalid response may be detected before its last piece; the message shows
                // the received part.
                let expected = if dialect == ExecDialect::Ready && size < bytes.len() { "" } else { expected };
                assert!(error.contains(expected), "{dialect} {bytes:?} by {size}: {error}");
            }
        }
    }
}
