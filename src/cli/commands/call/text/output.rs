//! The output of replies. A terminal gets control characters escaped; a pipe gets the text
//! unchanged.

use std::borrow::Cow;
use std::io::{self, IsTerminal};

use switchboard::TextEncoding;
use switchboard::escape;

use super::reply::DecodedText;
use crate::cli::error::CliError;
use crate::cli::terminal::stderr::print_notice;
use crate::cli::terminal::{sanitize, stdout};

/// A writer of replies to standard output.
pub(in crate::cli::commands::call) struct ReplyPrinter {
    format: ReplyFormat,
    encoding: TextEncoding,
    is_terminal: bool,
    /// True after the first warning about a reply that is invalid in the encoding.
    warned_of_invalid: bool,
    is_closed: bool,
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
        Self { format, encoding, is_terminal, warned_of_invalid: false, is_closed: false }
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

    /// Prints that a request got no reply. Only the JSON format has a line for that.
    pub(in crate::cli::commands::call) fn print_missing(&mut self, sent: &str) -> Result<(), CliError> {
        match self.format {
            ReplyFormat::Json => self.print_json(Some(sent), None),
            ReplyFormat::Text => Ok(()),
        }
    }

    fn print_text(&mut self, text: &str) -> Result<(), CliError> {
        let text = if self.is_terminal { escape::text(text) } else { Cow::Borrowed(text) };
        self.print(&format!("{text}\n"))
    }

    fn print_json(&mut self, sent: Option<&str>, answer: Option<&str>) -> Result<(), CliError> {
        let json = serde_json::to_string(&JsonReply { sent, answer });
        let json = json.map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
        let json = if self.is_terminal { sanitize::json(&json) } else { json };
        self.print(&format!("{json}\n"))
    }

    fn print(&mut self, line: &str) -> Result<(), CliError> {
        self.is_closed |= stdout::print_bytes(line.as_bytes())?;
        Ok(())
    }
}
