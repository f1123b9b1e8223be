//! One request to an exec server and its response, within one time limit.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use switchboard::client::ClientStream;
use switchboard::client::exec::{ExecResponse, ExecResponseError, MAX_OUTPUT_BYTES, ParseStep, ResponseParser};
use switchboard::{FrameDecoder, Framing, encode};

use super::plan::CallExecPlan;
use crate::cli::commands::call::server_address::{cause, is_timeout};
use crate::cli::error::CliError;
use crate::cli::transfer::has_trailing_data;

/// The wait for more digits of a length that has no delimiter. The server sends the length in one
/// piece, but it may arrive in two.
const LENGTH_WAIT: Duration = Duration::from_millis(50);

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Connects, sends the request and returns the complete response.
pub(super) fn run(plan: &CallExecPlan) -> Result<ExecResponse, CliError> {
    let deadline = Instant::now().checked_add(plan.timeout);
    let stream = plan.server.connect(plan.timeout)?;
    let decoder = FrameDecoder::new(plan.framing, MAX_OUTPUT_BYTES + READ_BYTES);
    let mut client = ExecClient { stream, decoder, deadline, plan };
    client.send(&plan.request)?;
    client.read_response()
}

struct ExecClient<'a> {
    stream: ClientStream,
    decoder: FrameDecoder,
    /// `None` if an `Instant` cannot represent the time limit.
    deadline: Option<Instant>,
    plan: &'a CallExecPlan,
}

impl ExecClient<'_> {
    fn read_response(&mut self) -> Result<ExecResponse, CliError> {
        let mut parser = ResponseParser::new(self.plan.dialect);
        let mut buffer = vec![0; READ_BYTES];
        let mut step = ParseStep::NeedMore;
        loop {
            let parsed = match step {
                // Trailing data is an error only if it has already arrived; do not wait for it.
                ParseStep::Done if has_trailing_data(&mut self.stream) => parser.push(&[0]),
                ParseStep::Done => return Ok(parser.into_response()),
                ParseStep::Send(text) => {
                    self.send(text.as_bytes())?;
                    parser.push(&[])
                }
                ParseStep::WaitForMore => match self.read(&mut buffer, Some(LENGTH_WAIT))? {
                    Some(bytes @ 1..) => self.parse(&mut parser, buffer.get(..bytes).unwrap_or_default())?,
                    Some(0) | None => parser.timeout(),
                },
                ParseStep::NeedMore => match self.read(&mut buffer, None)? {
                    Some(bytes @ 1..) => self.parse(&mut parser, buffer.get(..bytes).unwrap_or_default())?,
                    Some(0) => Err(parser.finish()),
                    None => return Err(self.timeout_error()),
                },
            };
            step = parsed.map_err(|error| self.plan.server.error(&error.to_string()))?;
        }
    }

    /// Passes the payloads of `received` to the parser. Under raw, the bytes are the payload.
    fn parse(
        &mut self,
        parser: &mut ResponseParser,
        mut received: &[u8],
    ) -> Result<Result<ParseStep, ExecResponseError>, CliError> {
        if self.plan.framing == Framing::Raw {
            return Ok(parser.push(received));
        }
        let mut step = Ok(ParseStep::NeedMore);
        loop {
            match self.decoder.decode(&mut received) {
                Ok(Some(payload)) => step = parser.push(payload),
                Ok(None) => return Ok(step),
                Err(error) => {
                    return Err(self.plan.server.error(&format!("{error}; check that the server uses this --framing")));
                }
            }
        }
    }

    /// Reads once. Returns `None` if nothing arrives within `limit`, or before the deadline.
    fn read(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> Result<Option<usize>, CliError> {
        let left = self.time_left()?;
        let timeout = limit.map_or(left, |limit| Some(left.map_or(limit, |left| left.min(limit))));
        loop {
            let read = self.stream.set_read_timeout(timeout).and_then(|()| self.stream.read(buffer));
            return match read {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => Ok(None),
                Err(error) => Err(self.connection_error(&error)),
            };
        }
    }

    fn send(&mut self, payload: &[u8]) -> Result<(), CliError> {
        let left = self.time_left()?;
        let mut frame = Vec::new();
        let unsendable = |error| CliError::Usage(format!("cannot send the command: {error}"));
        encode(self.plan.framing, payload, &mut frame).map_err(unsendable)?;
        let sent = self.stream.set_write_timeout(left).and_then(|()| self.stream.write_all(&frame));
        sent.map_err(|error| if is_timeout(&error) { self.timeout_error() } else { self.connection_error(&error) })
    }

    /// Returns the time until the deadline; `None` for no limit. Fails after the deadline.
    fn time_left(&self) -> Result<Option<Duration>, CliError> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) { Err(self.timeout_error()) } else { Ok(left) }
    }

    fn timeout_error(&self) -> CliError {
        let timeout = self.plan.timeout;
        self.plan.server.error(&format!("no complete response within {timeout:?}; allow more with --timeout"))
    }

    fn connection_error(&self, error: &io::Error) -> CliError {
        self.plan.server.error(&format!("connection lost: {}", cause(error)))
    }
}
