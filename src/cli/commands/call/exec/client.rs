//! One request to an exec server and its reply, within one time limit.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use switchboard::client::Stream;
use switchboard::client::exec::{Answer, Fault, Hearing, MAX_ANSWER_BYTES, Step};
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

/// Connects, sends the request and returns the complete reply.
pub(super) fn run(plan: &CallExecPlan) -> Result<Answer, CliError> {
    let deadline = Instant::now().checked_add(plan.timeout);
    let stream = plan.server.connect(plan.timeout)?;
    let decoder = FrameDecoder::new(plan.framing, MAX_ANSWER_BYTES + READ_BYTES);
    let mut client = ExecClient { stream, decoder, deadline, plan };
    client.send(&plan.request)?;
    client.read_reply()
}

struct ExecClient<'a> {
    stream: Stream,
    decoder: FrameDecoder,
    /// `None` if an `Instant` cannot represent the time limit.
    deadline: Option<Instant>,
    plan: &'a CallExecPlan,
}

impl ExecClient<'_> {
    fn read_reply(&mut self) -> Result<Answer, CliError> {
        let mut parser = Hearing::new(self.plan.dialect);
        let mut buffer = vec![0; READ_BYTES];
        let mut step = Step::Read;
        loop {
            let parsed = match step {
                // Trailing data is an error only if it has already arrived; do not wait for it.
                Step::Done if has_trailing_data(&mut self.stream) => parser.hear(&[0]),
                Step::Done => return Ok(parser.into_answer()),
                Step::Say(text) => {
                    self.send(text.as_bytes())?;
                    parser.hear(&[])
                }
                Step::Settle => match self.read(&mut buffer, Some(LENGTH_WAIT))? {
                    Some(bytes @ 1..) => self.parse(&mut parser, buffer.get(..bytes).unwrap_or_default())?,
                    Some(0) | None => parser.hear_nothing(),
                },
                Step::Read => match self.read(&mut buffer, None)? {
                    Some(bytes @ 1..) => self.parse(&mut parser, buffer.get(..bytes).unwrap_or_default())?,
                    Some(0) => Err(parser.hear_end()),
                    None => return Err(self.timeout_error()),
                },
            };
            step = parsed.map_err(|error| self.plan.server.error(&error.to_string()))?;
        }
    }

    /// Passes the payloads of `received` to the parser. Under raw, the bytes are the payload.
    fn parse(&mut self, parser: &mut Hearing, mut received: &[u8]) -> Result<Result<Step, Fault>, CliError> {
        if self.plan.framing == Framing::Raw {
            return Ok(parser.hear(received));
        }
        let mut step = Ok(Step::Read);
        loop {
            match self.decoder.decode(&mut received) {
                Ok(Some(payload)) => step = parser.hear(payload),
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
        self.plan.server.error(&format!("no complete reply within {timeout:?}; allow more with --timeout"))
    }

    fn connection_error(&self, error: &io::Error) -> CliError {
        self.plan.server.error(&format!("connection lost: {}", cause(error)))
    }
}
