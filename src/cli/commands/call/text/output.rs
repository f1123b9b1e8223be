//! The output of replies. A terminal gets control characters escaped; a pipe gets the text
//! unchanged.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use switchboard::TextEncoding;
use switchboard::escape;

use super::reply::DecodedText;
use crate::cli::error::CliError;
use crate::cli::terminal::stderr::print_notice;
use crate::cli::terminal::{sanitize, stdout};

/// The characters of a request that a message quotes.
pub(in crate::cli::commands::call) const MAX_EXCERPT_CHARS: usize = 40;

/// A writer of replies to standard output.
pub(in crate::cli::commands::call) struct ReplyPrinter {
    format: ReplyFormat,
    encoding: TextEncoding,
    is_terminal: bool,
    /// True after the first warning about a reply that is invalid in the encoding.
    warned_of_invalid: bool,
    is_closed: bool,
    /// Requests that were not sent, or that got no reply.
    missing_replies: u64,
}

/// The format in which replies are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::commands::call) enum ReplyFormat {
    Text,
    Json,
}

/// A request and its reply as JSON.
#[derive(serde::Serialize)]
struct JsonReply<'a> {
    sent: Option<&'a str>,
    answer: Option<&'a str>,
}

impl ReplyPrinter {
    pub(in crate::cli::commands::call) fn new(format: ReplyFormat, encoding: TextEncoding) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { format, encoding, is_terminal, warned_of_invalid: false, is_closed: false, missing_replies: 0 }
    }

    /// Returns true if the reader of standard output has closed it, as `head` does.
    pub(in crate::cli::commands::call) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Prints a received text, and the request that it replies to, if any.
    pub(in crate::cli::commands::call) fn print_reply(
        &mut self,
        sent: Option<&str>,
        received: &DecodedText,
    ) -> Result<(), CliError> {
        if !received.is_valid && !std::mem::replace(&mut self.warned_of_invalid, true) {
            let encoding = self.encoding;
            print_notice(&format!(
                "a reply is not valid {encoding}: \u{fffd} replaces the invalid bytes; choose another with --encoding"
            ));
        }
        match self.format {
            ReplyFormat::Json => self.print_json(sent, Some(&received.text)),
            ReplyFormat::Text => self.print_text(&received.text),
        }
    }

    /// Reports that a request was not sent or got no reply, for this reason. Only the JSON format
    /// has a line of output for it.
    pub(in crate::cli::commands::call) fn print_missing(
        &mut self,
        sent: Option<&str>,
        reason: &str,
    ) -> Result<(), CliError> {
        self.missing_replies += 1;
        let Some(sent) = sent else {
            print_notice(reason);
            return Ok(());
        };
        if self.format == ReplyFormat::Json {
            self.print_json(Some(sent), None)?;
        }
        print_notice(&format!("'{}': {reason}", sanitize::excerpt(sent, MAX_EXCERPT_CHARS)));
        Ok(())
    }

    /// Returns success if every request got a reply. An error message calls a request `unit`.
    pub(in crate::cli::commands::call) fn exit_code(&self, unit: &str) -> Result<ExitCode, CliError> {
        match self.missing_replies {
            0 => Ok(ExitCode::SUCCESS),
            1 => Err(CliError::Failed(format!("1 {unit} got no reply"))),
            missing => Err(CliError::Failed(format!("{missing} {unit}s got no reply"))),
        }
    }

    fn print_text(&mut self, text: &str) -> Result<(), CliError> {
        let text = if self.is_terminal { escape::text(text) } else { Cow::Borrowed(text) };
        self.is_closed |= stdout::print_bytes(format!("{text}\n").as_bytes())?;
        Ok(())
    }

    fn print_json(&mut self, sent: Option<&str>, answer: Option<&str>) -> Result<(), CliError> {
        self.is_closed |= stdout::print_json(&JsonReply { sent, answer })?;
        Ok(())
    }
}
