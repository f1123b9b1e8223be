//! One question and its answer over a socket, with a time limit for the whole of it.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use switchboard::client::ClientStream;
use switchboard::client::exec::{ExecResponse, ExecResponseError, MAX_OUTPUT_BYTES, ParseStep, ResponseParser};
use switchboard::{FrameDecoder, Framing, encode};

use super::Plan;
use crate::cli::commands::call::server::{bare, is_timeout};
use crate::cli::error::CliError;
use crate::cli::transfer::has_surplus;

/// How long a length that has no end of its own is left to go on. It is sent in one piece, but may come in two.
const SETTLE: Duration = Duration::from_millis(50);

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) fn ask(plan: &Plan) -> Result<ExecResponse, CliError> {
    let deadline = Instant::now().checked_add(plan.timeout);
    let stream = plan.server.connect(plan.timeout)?;
    let decoder = FrameDecoder::new(plan.framing, MAX_OUTPUT_BYTES + PIECE_BYTES);
    let mut exchange = Exchange { stream, decoder, deadline, plan };
    exchange.say(&plan.request)?;
    exchange.hear()
}

struct Exchange<'a> {
    stream: ClientStream,
    decoder: FrameDecoder,
    /// Nothing where the time limit is beyond what a clock can tell.
    deadline: Option<Instant>,
    plan: &'a Plan,
}

impl Exchange<'_> {
    fn hear(&mut self) -> Result<ExecResponse, CliError> {
        let mut parser = ResponseParser::new(self.plan.dialect);
        let mut piece = vec![0; PIECE_BYTES];
        let mut step = ParseStep::NeedMore;
        loop {
            let heard = match step {
                // What is there already is looked at; nobody waits for what should not come.
                ParseStep::Done if has_surplus(&mut self.stream) => parser.push(&[0]),
                ParseStep::Done => return Ok(parser.into_response()),
                ParseStep::Send(words) => {
                    self.say(words.as_bytes())?;
                    parser.push(&[])
                }
                ParseStep::WaitForMore => match self.read(&mut piece, Some(SETTLE))? {
                    Some(bytes @ 1..) => self.unframe(&mut parser, piece.get(..bytes).unwrap_or_default())?,
                    Some(0) | None => parser.timeout(),
                },
                ParseStep::NeedMore => match self.read(&mut piece, None)? {
                    Some(bytes @ 1..) => self.unframe(&mut parser, piece.get(..bytes).unwrap_or_default())?,
                    Some(0) => Err(parser.finish()),
                    None => return Err(self.late()),
                },
            };
            step = heard.map_err(|fault| CliError::Failed(format!("{}: {fault}", self.plan.server.typed())))?;
        }
    }

    /// Hands on what the frames in `piece` hold, which together are the answer; raw bytes are the answer itself.
    fn unframe(
        &mut self,
        parser: &mut ResponseParser,
        mut piece: &[u8],
    ) -> Result<Result<ParseStep, ExecResponseError>, CliError> {
        if self.plan.framing == Framing::Raw {
            return Ok(parser.push(piece));
        }
        let mut step = Ok(ParseStep::NeedMore);
        loop {
            match self.decoder.decode(&mut piece) {
                Ok(Some(payload)) => step = parser.push(payload),
                Ok(None) => return Ok(step),
                Err(error) => {
                    let typed = self.plan.server.typed();
                    return Err(CliError::Failed(format!("{typed}: {error}; does the server frame its answers so?")));
                }
            }
        }
    }

    /// Reads a piece; nothing if none comes within `limit`, or within what is left of the whole time.
    fn read(&mut self, piece: &mut [u8], limit: Option<Duration>) -> Result<Option<usize>, CliError> {
        let left = self.left()?;
        let timeout = limit.map_or(left, |limit| Some(left.map_or(limit, |left| left.min(limit))));
        loop {
            let read = self.stream.set_read_timeout(timeout).and_then(|()| self.stream.read(piece));
            return match read {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => Ok(None),
                Err(error) => Err(self.broken(&error)),
            };
        }
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let left = self.left()?;
        let mut frame = Vec::new();
        let unsendable = |error| CliError::Usage(format!("the command cannot be sent: {error}"));
        encode(self.plan.framing, bytes, &mut frame).map_err(unsendable)?;
        let said = self.stream.set_write_timeout(left).and_then(|()| self.stream.write_all(&frame));
        said.map_err(|error| if is_timeout(&error) { self.late() } else { self.broken(&error) })
    }

    /// What is left of the time, if it is bounded.
    fn left(&self) -> Result<Option<Duration>, CliError> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) { Err(self.late()) } else { Ok(left) }
    }

    fn late(&self) -> CliError {
        let (typed, timeout) = (self.plan.server.typed(), self.plan.timeout);
        CliError::Failed(format!("{typed}: no whole answer within {timeout:?}; give a longer --timeout"))
    }

    fn broken(&self, error: &io::Error) -> CliError {
        CliError::Failed(format!("{}: the connection broke: {}", self.plan.server.typed(), bare(error)))
    }
}
