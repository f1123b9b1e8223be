//! The read-evaluate-print loop: sends each input line and prints its reply before reading the
//! next.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use super::input::LineInput;
use super::output::{MAX_EXCERPT_CHARS, ReplyPrinter};
use super::reply::TextReply;
use super::stream_text_client::UnsolicitedRead;
use super::text_client::TextClient;
use crate::cli::error::CliError;
use crate::cli::terminal::stderr::print_notice;
use crate::cli::terminal::{InputLine, sanitize};

/// A conversation with a server.
pub(super) struct Repl {
    client: TextClient,
    printer: ReplyPrinter,
    /// True if the server closes after the message `Bye`.
    bye_closes: bool,
    /// True after the first warning about a skipped empty line.
    warned_of_empty: bool,
}

impl Repl {
    pub(super) fn new(client: TextClient, printer: ReplyPrinter, bye_closes: bool) -> Self {
        Self { client, printer, bye_closes, warned_of_empty: false }
    }

    /// Runs until the input ends or the server closes the connection.
    pub(super) fn run(mut self, mut input: LineInput) -> Result<ExitCode, CliError> {
        if let TextClient::Stream(client) = &mut self.client
            && !client.closes_after_reply()
        {
            // Report an unreachable server before the user types a line.
            client.connect()?;
        }
        self.print_unsolicited()?;
        loop {
            let flow = match input.next()? {
                InputLine::Text(text) => self.send(&text)?,
                InputLine::Invalid(reason) => {
                    self.printer.print_missing(None, &reason)?;
                    ControlFlow::Continue(())
                }
                InputLine::End => ControlFlow::Break(()),
            };
            if flow.is_break() || self.printer.is_closed() {
                break;
            }
        }
        if !self.printer.is_closed() {
            self.print_remaining()?;
        }
        self.printer.exit_code("line")
    }

    fn send(&mut self, text: &str) -> Result<ControlFlow<()>, CliError> {
        self.print_unsolicited()?;
        let is_bye = self.bye_closes && text.trim_ascii().eq_ignore_ascii_case("bye");
        let reply = match &mut self.client {
            TextClient::Stream(client) if text.is_empty() && !client.can_send_empty() => {
                if !std::mem::replace(&mut self.warned_of_empty, true) {
                    print_notice("empty lines are skipped: the framing raw cannot send an empty message");
                }
                return Ok(ControlFlow::Continue(()));
            }
            TextClient::Datagrams(client) if is_bye => {
                client.send(text)?;
                return Ok(ControlFlow::Break(()));
            }
            client => client.request(text)?,
        };
        match reply {
            TextReply::Text(received) => {
                self.printer.print_reply(Some(text), &received).map(|()| ControlFlow::Continue(()))
            }
            TextReply::Missing(reason) => {
                self.printer.print_missing(Some(text), &reason).map(|()| ControlFlow::Continue(()))
            }
            TextReply::Closed if is_bye => Ok(ControlFlow::Break(())),
            TextReply::Closed => {
                let line = sanitize::excerpt(text, MAX_EXCERPT_CHARS);
                Err(self.client.server().error(&format!("connection closed without a reply to '{line}'")))
            }
        }
    }

    fn print_unsolicited(&mut self) -> Result<(), CliError> {
        self.client.take_unsolicited()?.iter().try_for_each(|text| self.printer.print_reply(None, text))
    }

    /// Prints the texts that arrive after the last request.
    fn print_remaining(&mut self) -> Result<(), CliError> {
        self.print_unsolicited()?;
        let TextClient::Stream(client) = &mut self.client else { return Ok(()) };
        let Some(until) = client.finish() else { return Ok(()) };
        while let UnsolicitedRead::Texts(texts) = client.wait_unsolicited(until)? {
            texts.iter().try_for_each(|text| self.printer.print_reply(None, text))?;
            if self.printer.is_closed() || Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }
}
