//! One connection to a server of files: it waits for bytes, for Ctrl-C and for the time limit at once.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use switchboard::client::ClientStream;
use switchboard::client::files::DownloadError;
use switchboard::services::files::wire::MAX_FRAME_BYTES;
use switchboard::{FrameDecoder, encode};

use super::{Ended, Plan};
use crate::cli::commands::call::server::bare;
use crate::cli::error::CliError;
use crate::cli::transfer::{Interrupt, Waited, Waiting, has_surplus};
use crate::cli::units::HumanDuration;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A connection.
pub(super) struct Link<'a> {
    plan: &'a Plan,
    stream: ClientStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
    /// What of the buffer has been read and not been looked at.
    begin: usize,
    end: usize,
}

impl<'a> Link<'a> {
    /// Connects, or says what could be done about it.
    pub(super) fn connect(plan: &'a Plan) -> Result<Self, CliError> {
        let stream = plan.server.connect(CONNECT_TIMEOUT)?;
        let decoder = FrameDecoder::new(plan.framing, MAX_FRAME_BYTES);
        Ok(Self { plan, stream, decoder, buffer: vec![0; BUFFER_BYTES], begin: 0, end: 0 })
    }

    /// Sends a request.
    pub(super) fn send(&mut self, payload: &[u8]) -> Result<(), Ended> {
        let mut frame = Vec::new();
        let typed = self.plan.server.typed();
        encode(self.plan.framing, payload, &mut frame)
            .map_err(|error| CliError::Usage(format!("the request cannot be sent: {error}")))?;
        let sent = self.stream.write_all(&frame);
        sent.map_err(|error| CliError::Failed(format!("cannot ask {typed}: {}", bare(&error))).into())
    }

    /// The next frame's payload; nothing at the stream's end, or `during` what it ended too early.
    pub(super) fn frame(&mut self, limit: Option<Duration>, interrupt: &Interrupt) -> Result<Option<Vec<u8>>, Ended> {
        loop {
            let mut input = self.buffer.get(self.begin..self.end).unwrap_or_default();
            let decoded = self.decoder.decode(&mut input).map(|payload| payload.map(<[u8]>::to_vec));
            self.begin = self.end - input.len();
            match decoded {
                Ok(Some(payload)) => return Ok(Some(payload)),
                Ok(None) if !self.fill(limit, interrupt)? => return Ok(None),
                Ok(None) => {}
                Err(error) => return Err(DownloadError::InvalidReply(error.to_string()).into()),
            }
        }
    }

    /// The next bytes as they come; nothing at the stream's end.
    pub(super) fn bytes(&mut self, limit: Option<Duration>, interrupt: &Interrupt) -> Result<Option<&[u8]>, Ended> {
        Ok(if self.fill(limit, interrupt)? { self.buffer.get(..self.end) } else { None })
    }

    /// Whether more has come than what was asked for. Who would send more later is not waited for.
    pub(super) fn has_surplus(&mut self) -> bool {
        self.begin < self.end || has_surplus(&mut self.stream)
    }

    /// Reads once. False: the stream has ended.
    fn fill(&mut self, limit: Option<Duration>, interrupt: &Interrupt) -> Result<bool, Ended> {
        let typed = self.plan.server.typed();
        let lost = |error| CliError::Failed(format!("the connection to {typed} is lost: {}", bare(&error)));
        loop {
            match interrupt.wait(&self.stream, Waiting::ToRead, limit).map_err(lost)? {
                Waited::Ready => {}
                Waited::Interrupted => return Err(Ended::Interrupted),
                Waited::TimedOut => {
                    let length = HumanDuration(limit.unwrap_or_default());
                    let why = format!(
                        "{typed} has sent nothing for {length}; try again, or have more patience with --timeout"
                    );
                    return Err(CliError::Failed(why).into());
                }
            }
            match self.stream.read(&mut self.buffer) {
                Ok(bytes) => {
                    (self.begin, self.end) = (0, bytes);
                    return Ok(bytes > 0);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(lost(error).into()),
            }
        }
    }
}
