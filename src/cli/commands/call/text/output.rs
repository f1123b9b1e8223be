//! The output of replies. A terminal gets control characters escaped; a pipe gets the text
//! unchanged.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use switchboard::TextEncoding;
use switchboard::escape;

use super::reply::DecodedText;
use crate::cli::error::CliError;

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
        self.print(format!("{text}\n").as_bytes())
    }

    fn print_json(&mut self, sent: Option<&str>, answer: Option<&str>) -> Result<(), CliError> {
        let json = serde_json::to_string(&JsonReply { sent, answer });
        let json = json.map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
        let mut line = if self.is_terminal { escape_json_controls(&json) } else { json };
        line.push('\n');
        self.print(line.as_bytes())
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            Err(error) => Err(CliError::Failed(format!("cannot write to standard output: {error}"))),
        }
    }
}

/// Prints a message of the client itself on standard error.
pub(in crate::cli::commands::call) fn print_notice(line: &str) {
    // Ignore the error: if standard error is closed, the message has no other place.
    let _ = writeln!(io::stderr(), "* {line}");
}

/// Replaces characters that control a terminal with JSON escapes of the same meaning.
fn escape_json_controls(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Every escaped character is in the Basic Multilingual Plane, so four hexadecimal digits
        // suffice.
        match escape::line(c.encode_utf8(&mut [0; 4])) {
            Cow::Borrowed(plain) => out.push_str(plain),
            // Writing to a String cannot fail.
            Cow::Owned(_) => _ = write!(out, "\\u{:04x}", u32::from(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_json_has_the_same_meaning() {
        let json = serde_json::to_string("\u{9b}31m\u{202e}\u{1b}é\"").unwrap();
        let escaped = escape_json_controls(&json);
        assert_eq!(escaped, r#""\u009b31m\u202e\u001bé\"""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), "\u{9b}31m\u{202e}\u{1b}é\"");
    }
}
