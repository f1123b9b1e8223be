//! One request to an exec server and its response, within one time limit.

use std::time::Duration;

use switchboard::client::exec::{ExecResponse, MAX_OUTPUT_BYTES, ParseStep, ResponseParser};
use switchboard::client::{Conversation, ConversationError, WaitLimits};

use super::plan::CallExecPlan;
use crate::cli::commands::call::server_address::cause;
use crate::cli::error::CliError;

/// The wait for more digits of a length that has no delimiter. The server sends the length in one
/// piece, but it may arrive in two.
const LENGTH_WAIT: Duration = Duration::from_millis(50);

/// Maximum length of a frame: the output and its header.
const MAX_PAYLOAD_BYTES: usize = MAX_OUTPUT_BYTES + (64 << 10);

/// Connects, sends the request and returns the complete response.
pub(super) fn run(plan: &CallExecPlan) -> Result<ExecResponse, CliError> {
    let limits = WaitLimits::within(plan.timeout);
    let mut conversation = Conversation::new(plan.server.connect(plan.timeout)?, plan.framing, MAX_PAYLOAD_BYTES);
    let mut parser = ResponseParser::new(plan.dialect).with_encoding(plan.encoding);
    conversation.send(&plan.request, limits).map_err(|error| call_error(plan, error))?;
    let mut step = ParseStep::NeedMore;
    loop {
        let parsed = match step {
            // Trailing data is an error only if it has already arrived; do not wait for it.
            ParseStep::Done if conversation.has_trailing_data() => parser.push(&[0]),
            ParseStep::Done => return Ok(parser.into_response()),
            ParseStep::Send(text) => {
                conversation.send(text.as_bytes(), limits).map_err(|error| call_error(plan, error))?;
                parser.push(&[])
            }
            ParseStep::WaitForMore => match conversation.receive(limits.with_stall_timeout(Some(LENGTH_WAIT))) {
                Ok(Some(payload)) => parser.push(&payload),
                Ok(None) | Err(ConversationError::Stalled) => parser.timeout(),
                Err(error) => return Err(call_error(plan, error)),
            },
            ParseStep::NeedMore => match conversation.receive(limits).map_err(|error| call_error(plan, error))? {
                Some(payload) => parser.push(&payload),
                None => Err(parser.finish()),
            },
        };
        step = parsed.map_err(|error| plan.server.error(&error.to_string()))?;
    }
}

fn call_error(plan: &CallExecPlan, error: ConversationError) -> CliError {
    let what = match error {
        ConversationError::Unencodable(error) => return CliError::Usage(format!("cannot send the command: {error}")),
        ConversationError::InvalidFrame(error) => format!("{error}; check that the server uses this --framing"),
        ConversationError::Io(error) => format!("connection lost: {}", cause(&error)),
        _ => format!("no complete response within {:?}; allow more with --timeout", plan.timeout),
    };
    plan.server.error(&what)
}
