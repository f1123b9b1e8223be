//! An answer, taken apart as it comes. Bytes in, events out; no socket, no clock.

use super::body_decoder::{Body, Piece};
use super::header_reader::Lines;
use super::http_error::Fault;
use super::response_head::Head;

/// Of one head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Answers that only say that the real one is yet to come. One or two are usual.
const MAX_INTERIMS: u32 = 16;

/// How every answer begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// How much of what is none is shown.
const SHOWN_BYTES: usize = 32;

/// An answer to one GET. However its bytes are cut, the events are the same, but for where the body's pieces begin and end.
///
/// ```
/// use switchboard::client::http::{Event, Response};
///
/// let mut response = Response::new();
/// let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
/// let Some(Event::Head(head)) = response.next_event(&mut input)? else { panic!() };
/// assert_eq!((head.status(), response.promised()), (200, Some(5)));
/// assert_eq!(response.next_event(&mut input)?, Some(Event::Body(b"hello")));
/// assert_eq!(response.next_event(&mut input)?, Some(Event::End));
/// # Ok::<(), switchboard::client::http::Fault>(())
/// ```
#[derive(Debug)]
pub struct Response {
    stage: Stage,
    interims: u32,
}

#[derive(Debug)]
enum Stage {
    Head(Lines),
    Body(Body),
    Over { promised: Option<u64> },
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The head. Interim answers are passed over.
    Head(Head),
    /// A piece of the body, never empty.
    Body(&'a [u8]),
    /// The body is whole.
    End,
}

impl Response {
    /// One of which nothing has come.
    pub fn new() -> Self {
        Self { stage: Stage::Head(Lines::default()), interims: 0 }
    }

    /// Takes bytes from the front of `input` up to the next event. Without one, all were taken, and more are needed.
    ///
    /// # Errors
    /// What the server did that it may not. Nothing that comes after it means anything.
    pub fn next_event<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Fault> {
        loop {
            match &mut self.stage {
                Stage::Head(lines) => {
                    check_beginning(lines.gathered(), input)?;
                    let raw = lines.take(input, MAX_HEAD_BYTES).map_err(|_| Fault::HeadTooLong(MAX_HEAD_BYTES))?;
                    let Some(raw) = raw else { return Ok(None) };
                    let head = Head::parse(raw)?;
                    match head.status() {
                        101 => return Err(Fault::Switched),
                        100..=199 => self.count_interim()?,
                        _ => {
                            self.stage = Stage::Body(Body::after(&head)?);
                            return Ok(Some(Event::Head(head)));
                        }
                    }
                }
                Stage::Body(body) => match body.next_piece(input)? {
                    Piece::None => return Ok(None),
                    Piece::Data(data) => return Ok(Some(Event::Body(data))),
                    Piece::End => {
                        self.stage = Stage::Over { promised: body.promised() };
                        return Ok(Some(Event::End));
                    }
                },
                Stage::Over { .. } if input.is_empty() => return Ok(None),
                Stage::Over { promised: Some(promised) } => return Err(Fault::Surplus { promised: *promised }),
                // Chunks say for themselves where they end, so what follows is no part of them.
                Stage::Over { promised: None } => {
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// The server has closed. If that is how the body ends, it is whole.
    ///
    /// # Errors
    /// What is missing.
    pub fn handle_close(&mut self) -> Result<(), Fault> {
        match &self.stage {
            Stage::Head(lines) if lines.gathered().is_empty() => return Err(Fault::Silent),
            Stage::Head(lines) => return Err(Fault::HeadCut { received: lines.gathered().len() }),
            Stage::Body(body) => body.handle_close()?,
            Stage::Over { .. } => {}
        }
        self.stage = Stage::Over { promised: None };
        Ok(())
    }

    /// The length of the body, where the head said one.
    pub fn promised(&self) -> Option<u64> {
        match &self.stage {
            Stage::Body(body) => body.promised(),
            Stage::Over { promised } => *promised,
            Stage::Head(_) => None,
        }
    }

    fn count_interim(&mut self) -> Result<(), Fault> {
        self.interims += 1;
        if self.interims > MAX_INTERIMS {
            return Err(Fault::TooManyInterims(MAX_INTERIMS));
        }
        Ok(())
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

/// Says at the first wrong byte that this is no HTTP: who speaks something else may well wait for an answer before its line ends.
fn check_beginning(gathered: &[u8], input: &[u8]) -> Result<(), Fault> {
    if gathered.len() >= BEGINNING.len() {
        return Ok(());
    }
    let began: Vec<u8> = gathered.iter().chain(input).take(SHOWN_BYTES).copied().collect();
    if began.iter().zip(BEGINNING).all(|(byte, expected)| byte == expected) {
        return Ok(());
    }
    let line: Vec<u8> = began.iter().copied().take_while(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    match line.strip_prefix(b"HTTP/") {
        Some(rest) if !rest.is_empty() => {
            let version = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            Err(Fault::Version(format!("HTTP/{}", String::from_utf8_lossy(version))))
        }
        _ if line.is_empty() || line.len() < 4 => Err(Fault::NotHttp(began)),
        _ => Err(Fault::NotHttp(line)),
    }
}

#[cfg(test)]
mod tests;
