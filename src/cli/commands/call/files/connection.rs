//! A connection to a files server. Each read waits for data, a signal or the time limit.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use switchboard::client::ClientStream;
use switchboard::client::files::DownloadError;
use switchboard::services::files::wire::MAX_FRAME_BYTES;
use switchboard::{FrameDecoder, encode};

use super::error::CallFilesError;
use super::plan::CallFilesPlan;
use crate::cli::commands::call::server_address::cause;
use crate::cli::error::CliError;
use crate::cli::process::signals::{Interrupt, WaitFor, WaitResult};
use crate::cli::transfer::has_trailing_data;
use crate::cli::units::HumanDuration;

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of one read.
const BUFFER_BYTES: usize = 256 << 10;

/// A stream with its decoder and its read buffer.
pub(super) struct FilesConnection<'a> {
    plan: &'a CallFilesPlan,
    stream: ClientStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
    /// `buffer[start..end]` is received and not decoded.
    start: usize,
    end: usize,
}

impl<'a> FilesConnection<'a> {
    /// Connects. The error advises what to do.
    pub(super) fn connect(plan: &'a CallFilesPlan) -> Result<Self, CliError> {
        let stream = plan.server.connect(CONNECT_TIMEOUT)?;
        let decoder = FrameDecoder::new(plan.framing, MAX_FRAME_BYTES);
        Ok(Self { plan, stream, decoder, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 })
    }

    /// Sends a request.
    pub(super) fn send(&mut self, payload: &[u8]) -> Result<(), CallFilesError> {
        let mut frame = Vec::new();
        encode(self.plan.framing, payload, &mut frame)
            .map_err(|error| CliError::Usage(format!("cannot send the request: {error}")))?;
        let sent = self.stream.write_all(&frame);
        sent.map_err(|error| self.plan.server.error(&format!("request failed: {}", cause(&error))).into())
    }

    /// Returns the next frame's payload; `None` at the end of the stream, also inside a frame.
    pub(super) fn next_frame(
        &mut self,
        limit: Option<Duration>,
        interrupt: &Interrupt,
    ) -> Result<Option<Vec<u8>>, CallFilesError> {
        loop {
            let mut input = self.buffer.get(self.start..self.end).unwrap_or_default();
            let decoded = self.decoder.decode(&mut input).map(|payload| payload.map(<[u8]>::to_vec));
            self.start = self.end - input.len();
            match decoded {
                Ok(Some(payload)) => return Ok(Some(payload)),
                Ok(None) if !self.fill(limit, interrupt)? => return Ok(None),
                Ok(None) => {}
                Err(error) => return Err(DownloadError::InvalidReply(error.to_string()).into()),
            }
        }
    }

    /// Returns the bytes of the next read; `None` at the end of the stream.
    pub(super) fn next_bytes(
        &mut self,
        limit: Option<Duration>,
        interrupt: &Interrupt,
    ) -> Result<Option<&[u8]>, CallFilesError> {
        Ok(if self.fill(limit, interrupt)? { self.buffer.get(..self.end) } else { None })
    }

    /// Returns true if data behind the reply has already arrived. Does not wait for more.
    pub(super) fn has_trailing_data(&mut self) -> bool {
        self.start < self.end || has_trailing_data(&mut self.stream)
    }

    /// Reads once into the buffer. Returns false at the end of the stream.
    fn fill(&mut self, limit: Option<Duration>, interrupt: &Interrupt) -> Result<bool, CallFilesError> {
        let server = &self.plan.server;
        let lost = |error| server.error(&format!("connection lost: {}", cause(&error)));
        loop {
            match interrupt.wait(&self.stream, WaitFor::Readable, limit).map_err(lost)? {
                WaitResult::Ready => {}
                WaitResult::Interrupted => return Err(CallFilesError::Interrupted),
                WaitResult::TimedOut => {
                    let limit = HumanDuration(limit.unwrap_or_default());
                    let what = format!("no data for {limit}; try again, or allow more with --timeout");
                    return Err(server.error(&what).into());
                }
            }
            match self.stream.read(&mut self.buffer) {
                Ok(bytes) => {
                    (self.start, self.end) = (0, bytes);
                    return Ok(bytes > 0);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(lost(error).into()),
            }
        }
    }
}
