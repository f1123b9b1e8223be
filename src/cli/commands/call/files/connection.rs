//! A connection to a files server. Each read waits for data, a signal or the time limit.

use std::time::Duration;

use switchboard::client::files::DownloadError;
use switchboard::client::{Conversation, ConversationError, WaitLimits};
use switchboard::services::files::wire::MAX_FRAME_BYTES;

use super::error::CallFilesError;
use super::plan::CallFilesPlan;
use crate::cli::commands::call::server_address::cause;
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;
use crate::cli::units::HumanDuration;

/// Bytes of one read.
const READ_BYTES: usize = 256 << 10;

/// A conversation with a files server.
pub(super) struct FilesConnection<'a> {
    plan: &'a CallFilesPlan,
    conversation: Conversation,
}

impl<'a> FilesConnection<'a> {
    /// Connects. The error advises what to do.
    pub(super) fn connect(plan: &'a CallFilesPlan) -> Result<Self, CliError> {
        let stream = plan.server.connect(plan.connect_timeout)?;
        let conversation = Conversation::new(stream, plan.framing, MAX_FRAME_BYTES).with_read_bytes(READ_BYTES);
        Ok(Self { plan, conversation })
    }

    /// Sends a request.
    pub(super) fn send(&mut self, payload: &[u8]) -> Result<(), CallFilesError> {
        Ok(self.conversation.send(payload, WaitLimits::default()).map_err(|error| match error {
            ConversationError::Unencodable(error) => CliError::Usage(format!("cannot send the request: {error}")),
            ConversationError::Io(error) => self.plan.server.error(&format!("request failed: {}", cause(&error))),
            other => self.plan.server.error(&format!("request failed: {other}")),
        })?)
    }

    /// Returns the next frame's payload; `None` at the end of the stream, also inside a frame.
    pub(super) fn next_frame(
        &mut self,
        limit: Option<Duration>,
        interrupt: &Interrupt,
    ) -> Result<Option<Vec<u8>>, CallFilesError> {
        let received = self.conversation.receive(limits(limit, interrupt));
        received.map_err(|error| receive_error(self.plan, error, limit))
    }

    /// Returns the bytes of the next read; `None` at the end of the stream.
    pub(super) fn next_bytes(
        &mut self,
        limit: Option<Duration>,
        interrupt: &Interrupt,
    ) -> Result<Option<&[u8]>, CallFilesError> {
        let received = self.conversation.receive_bytes(limits(limit, interrupt));
        let bytes = received.map_err(|error| receive_error(self.plan, error, limit))?;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Returns true if data behind the reply has already arrived. Does not wait for more.
    pub(super) fn has_trailing_data(&mut self) -> bool {
        self.conversation.has_trailing_data()
    }
}

fn limits(stall_timeout: Option<Duration>, interrupt: &Interrupt) -> WaitLimits<'_> {
    WaitLimits { deadline: None, stall_timeout, cancel: interrupt.cancel_token() }
}

fn receive_error(plan: &CallFilesPlan, error: ConversationError, limit: Option<Duration>) -> CallFilesError {
    let what = match error {
        ConversationError::Cancelled => return CallFilesError::Interrupted,
        ConversationError::InvalidFrame(error) => return DownloadError::InvalidReply(error.to_string()).into(),
        ConversationError::Io(error) => format!("connection lost: {}", cause(&error)),
        _ => {
            let limit = HumanDuration(limit.unwrap_or_default());
            format!("no data for {limit}; try again, or allow more with --timeout")
        }
    };
    plan.server.error(&what).into()
}
