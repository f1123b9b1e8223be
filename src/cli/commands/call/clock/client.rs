//! Requests to one clock: once, or repeatedly on the same connection.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use switchboard::escape;
use switchboard::services::Clock;

use super::schedule::RequestSchedule;
use crate::cli::commands::call::text::{
    DatagramTextClient, ReplyPrinter, StreamTextClient, TextReply, UnsolicitedRead,
};
use crate::cli::error::CliError;
use crate::cli::terminal::stderr::print_notice;

/// The prefix of a reply that rejects the format.
pub(super) const ERROR_PREFIX: &str = "error: ";

/// The requests to one clock, and the output of the replies.
pub(super) struct ClockClient {
    time_format: String,
    interval: Duration,
    /// The number of requests; `None`: until Ctrl-C.
    count: Option<u64>,
    printer: ReplyPrinter,
    failed_requests: u64,
}

impl ClockClient {
    pub(super) fn new(time_format: String, interval: Duration, count: Option<u64>, printer: ReplyPrinter) -> Self {
        Self { time_format, interval, count, printer, failed_requests: 0 }
    }

    /// Sends the requests on a stream.
    pub(super) fn run_stream(mut self, mut stream: StreamTextClient) -> Result<ExitCode, CliError> {
        if self.time_format.is_empty() {
            // A raw stream cannot carry an empty message. Send the default format, which an empty
            // one stands for.
            Clock::FORMAT.clone_into(&mut self.time_format);
        }
        let time_format = self.time_format.clone();
        let mut schedule = RequestSchedule::new(self.interval, self.count);
        while let Some(until) = schedule.next() {
            self.wait(&mut stream, until)?;
            if self.printer.is_closed() {
                break;
            }
            let reply = stream.request(&time_format)?;
            if let TextReply::Closed = reply {
                return Err(stream.server().error("connection closed without a reply"));
            }
            self.handle_reply(reply)?;
            if self.printer.is_closed() {
                break;
            }
        }
        self.exit_code()
    }

    /// Waits until `until`, and prints unsolicited texts. Returns early if the output is closed.
    fn wait(&mut self, stream: &mut StreamTextClient, until: Instant) -> Result<(), CliError> {
        loop {
            match stream.wait_unsolicited(until)? {
                UnsolicitedRead::Texts(texts) => {
                    texts.iter().try_for_each(|text| self.printer.print_reply(None, text))?;
                }
                UnsolicitedRead::Closed => {
                    let what = "connection closed; try again, or raise the server's --idle-timeout";
                    return Err(stream.server().error(what));
                }
                UnsolicitedRead::TimedOut => return Ok(()),
            }
            if self.printer.is_closed() || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Sends the requests over UDP.
    pub(super) fn run_udp(mut self, mut datagrams: DatagramTextClient) -> Result<ExitCode, CliError> {
        let time_format = self.time_format.clone();
        let mut schedule = RequestSchedule::new(self.interval, self.count);
        while let Some(until) = schedule.next() {
            datagrams.wait(until)?;
            let reply = datagrams.request(&time_format)?;
            self.handle_reply(reply)?;
            if self.printer.is_closed() {
                break;
            }
        }
        self.exit_code()
    }

    fn handle_reply(&mut self, reply: TextReply) -> Result<(), CliError> {
        match reply {
            TextReply::Text(received) => match received.text.strip_prefix(ERROR_PREFIX) {
                // Every further request would fail in the same way.
                Some(reason) => Err(format_error(reason)),
                None => self.printer.print_reply(None, &received),
            },
            TextReply::Missing(reason) => {
                self.failed_requests += 1;
                print_notice(&reason);
                Ok(())
            }
            // `run_stream` handles this first, and UDP never returns it.
            TextReply::Closed => Ok(()),
        }
    }

    fn exit_code(&self) -> Result<ExitCode, CliError> {
        match self.failed_requests {
            0 => Ok(ExitCode::SUCCESS),
            1 => Err(CliError::Failed("1 request got no reply".to_owned())),
            failed => Err(CliError::Failed(format!("{failed} requests got no reply"))),
        }
    }
}

fn format_error(reason: &str) -> CliError {
    CliError::Failed(format!("the clock rejects the format: {}", escape::line(reason)))
}
