//! Requests to one clock: once, or repeatedly on the same connection.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use switchboard::escape;

use super::schedule::RequestSchedule;
use crate::cli::commands::call::text::{ReplyPrinter, TextClient, TextReply, UnsolicitedRead};
use crate::cli::error::CliError;

/// The prefix of a reply that rejects the format.
pub(super) const ERROR_PREFIX: &str = "error: ";

/// The requests to one clock, and the output of the replies.
pub(super) struct ClockClient {
    time_format: String,
    interval: Duration,
    /// The number of requests; `None`: until Ctrl-C.
    count: Option<u64>,
    printer: ReplyPrinter,
}

impl ClockClient {
    pub(super) fn new(time_format: String, interval: Duration, count: Option<u64>, printer: ReplyPrinter) -> Self {
        Self { time_format, interval, count, printer }
    }

    /// Sends the requests.
    pub(super) fn run(mut self, mut client: TextClient) -> Result<ExitCode, CliError> {
        let mut schedule = RequestSchedule::new(self.interval, self.count);
        while let Some(until) = schedule.next() {
            self.wait(&mut client, until)?;
            if self.printer.is_closed() {
                break;
            }
            match client.request(&self.time_format)? {
                TextReply::Text(received) => match received.text.strip_prefix(ERROR_PREFIX) {
                    // Every further request would fail in the same way.
                    Some(reason) => return Err(format_error(reason)),
                    None => self.printer.print_reply(None, &received)?,
                },
                TextReply::Missing(reason) => self.printer.print_missing(None, &reason)?,
                TextReply::Closed => return Err(client.server().error("connection closed without a reply")),
            }
            if self.printer.is_closed() {
                break;
            }
        }
        self.printer.exit_code("request")
    }

    /// Waits until `until`, and prints unsolicited texts. Returns early if the output is closed.
    fn wait(&mut self, client: &mut TextClient, until: Instant) -> Result<(), CliError> {
        loop {
            match client.wait_unsolicited(until)? {
                UnsolicitedRead::Texts(texts) => {
                    texts.iter().try_for_each(|text| self.printer.print_reply(None, text))?;
                }
                UnsolicitedRead::Closed => {
                    let what = "connection closed; try again, or raise the server's --idle-timeout";
                    return Err(client.server().error(what));
                }
                UnsolicitedRead::TimedOut => return Ok(()),
            }
            if self.printer.is_closed() || Instant::now() >= until {
                return Ok(());
            }
        }
    }
}

fn format_error(reason: &str) -> CliError {
    CliError::Failed(format!("the clock rejects the format: {}", escape::line(reason)))
}
