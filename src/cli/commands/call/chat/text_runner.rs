//! The loop of a chat session with a server that has no JSON: lines go out as they are, and text is
//! printed as it comes. Text is not matched with lines: such a server may send more or less than
//! one answer to a line.
//!
//! From a pipe, a line is sent when text has come since the last one, or `--timeout` has passed. So
//! a server that takes each read for a message receives each line as one.

use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use switchboard::{Framing, SocketStream, escape};

use super::event::{ClientEvent, ConnectionEvent};
use super::session_io::{SessionIo, signal_exit_code};
use super::text_connection::TextConnection;
use super::text_lines::TextLines;
use super::text_protocol::{TextProtocol, TextTransport};
use crate::cli::commands::call::server_address::{ServerAddress, cause};
use crate::cli::commands::call::text::{DecodedText, MAX_EXCERPT_CHARS, deadline};
use crate::cli::error::CliError;
use crate::cli::terminal::stdout::is_closed;
use crate::cli::terminal::{InputLine, sanitize};

/// The wait of one end of a stream for the other: for the server's last text and close after the
/// end of the input, or for the end of the input after the server's close.
const FINAL_WAIT: Duration = Duration::from_millis(500);

/// A server, its stream if it has one, and the time that the session waits for an answer.
pub(super) struct TextServer {
    pub(super) address: ServerAddress,
    pub(super) protocol: TextProtocol,
    pub(super) stream: Option<SocketStream>,
    pub(super) timeout: Duration,
    /// Time during which the first text counts as a greeting instead of an answer.
    pub(super) greeting_wait: Duration,
}

/// The texts that have come after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// No line was sent.
    NotExpected,
    None,
    Some,
}

/// The two ends of a session. A state with a time ends then at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextSessionState {
    Open,
    /// The server has closed the connection. From a pipe, the session waits for the end of the
    /// input, to know whether lines are left.
    ClosedByServer(Instant),
    /// The input has ended. The server may send its last text and close.
    InputEnded(Instant),
}

/// A session, its connection and its display.
pub(super) struct TextRunner {
    io: SessionIo,
    server: ServerAddress,
    connection: TextConnection,
    timeout: Duration,
    prompt: String,
    /// The text after the last line feed, if the server is expected to send lines.
    lines: Option<TextLines>,
    /// True if the input thread waits for a permit.
    wants_line: bool,
    last_line: String,
    greeting_deadline: Option<Instant>,
    /// Set while the last line has no answer.
    answer_deadline: Option<Instant>,
    state: TextSessionState,
    answers: Answers,
    /// Lines that were not sent, or that no server received.
    unsent_lines: u64,
    warned_of_invalid: bool,
    is_output_closed: bool,
}

impl TextSessionState {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Open => None,
            Self::ClosedByServer(until) | Self::InputEnded(until) => Some(until),
        }
    }
}

impl TextRunner {
    /// Starts the threads of the connection.
    pub(super) fn start(io: SessionIo, server: TextServer) -> Result<Self, CliError> {
        let TextServer { address, protocol: TextProtocol { transport, encoding }, stream, timeout, greeting_wait } =
            server;
        let events = io.event_sender.clone();
        let is_udp = matches!(transport, TextTransport::Datagrams { .. });
        let lines = matches!(transport, TextTransport::Stream(Framing::Lines)).then(TextLines::default);
        let (connection, prompt) = match (transport, stream) {
            (TextTransport::Stream(framing), Some(stream)) => {
                (TextConnection::stream(stream, framing, encoding, events)?, "chat> ".to_owned())
            }
            (TextTransport::Datagrams { name }, _) => {
                let prompt = format!("{}> ", escape::line(&name));
                (TextConnection::datagrams(address.clone(), name, encoding, events)?, prompt)
            }
            (TextTransport::Stream(_), None) => return Err(address.error("not connected")),
        };
        let waits_for_greeting = !io.is_interactive && !is_udp;
        Ok(Self {
            io,
            server: address,
            connection,
            timeout,
            prompt,
            lines,
            wants_line: true,
            last_line: String::new(),
            greeting_deadline: waits_for_greeting.then(|| Instant::now() + greeting_wait),
            answer_deadline: None,
            state: TextSessionState::Open,
            answers: Answers::NotExpected,
            unsent_lines: 0,
            warned_of_invalid: false,
            is_output_closed: false,
        })
    }

    /// Runs until the input or the connection ends.
    pub(super) fn run(mut self) -> Result<ExitCode, CliError> {
        let result = self.run_to_end();
        if is_closed(self.io.display.flush())? { Ok(ExitCode::SUCCESS) } else { result }
    }

    fn run_to_end(&mut self) -> Result<ExitCode, CliError> {
        loop {
            // A terminal's display has a thread of its own and needs no flush.
            self.is_output_closed |= !self.io.is_interactive && is_closed(self.io.display.flush())?;
            if self.is_output_closed {
                return Ok(ExitCode::SUCCESS);
            }
            self.send_permit();
            let code = match self.wait() {
                Ok(event) => self.handle_event(event)?,
                Err(RecvTimeoutError::Timeout) => self.handle_deadlines()?,
                // Impossible: the session itself holds a sender.
                Err(RecvTimeoutError::Disconnected) => Some(ExitCode::SUCCESS),
            };
            if let Some(code) = code {
                return Ok(code);
            }
        }
    }

    /// Permits the input thread to read a line; from a pipe, when the last one has its answer.
    fn send_permit(&mut self) {
        let must_wait = !self.io.is_interactive && (self.answer_deadline.is_some() || self.greeting_deadline.is_some());
        if self.wants_line && !must_wait && !matches!(self.state, TextSessionState::InputEnded(_)) {
            self.wants_line = false;
            // Ignore the error: the input thread has ended.
            let _ = self.io.permits.send(self.prompt.clone());
        }
    }

    fn wait(&self) -> Result<ClientEvent, RecvTimeoutError> {
        let line_end = self.lines.as_ref().and_then(TextLines::deadline);
        let due = [line_end, self.greeting_deadline, self.answer_deadline, self.state.deadline()];
        let due = due.into_iter().flatten().min();
        match due {
            Some(due) => self.io.events.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => self.io.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn handle_deadlines(&mut self) -> Result<Option<ExitCode>, CliError> {
        let now = Instant::now();
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        if is_due(self.lines.as_ref().and_then(TextLines::deadline)) {
            self.finish_line()?;
        }
        if is_due(self.greeting_deadline) {
            self.greeting_deadline = None;
        }
        if is_due(self.answer_deadline) {
            self.answer_deadline = None;
            let cause = if matches!(self.connection, TextConnection::Datagrams(_)) {
                ": UDP may have lost the line or the answer"
            } else {
                ""
            };
            let line = sanitize::excerpt(&self.last_line, MAX_EXCERPT_CHARS);
            self.notify(&format!("'{line}': no answer within {:?}{cause}", self.timeout))?;
        }
        if !is_due(self.state.deadline()) {
            return Ok(None);
        }
        if matches!(self.state, TextSessionState::ClosedByServer(_)) {
            return Err(self.server.error("the server closed the connection before the end of the input"));
        }
        self.end().map(Some)
    }

    /// Handles one event. Returns the exit code if the program must end.
    fn handle_event(&mut self, event: ClientEvent) -> Result<Option<ExitCode>, CliError> {
        match event {
            ClientEvent::Input(InputLine::End) => return self.finish_input(),
            ClientEvent::Input(InputLine::Text(text)) => {
                self.wants_line = true;
                // A pasted text may have several lines. Only the framing `lines` cannot carry it
                // whole.
                let mut lines: Vec<_> = if self.lines.is_some() { text.split('\n').collect() } else { vec![&*text] };
                lines.retain(|line| !line.trim().is_empty());
                lines.into_iter().try_for_each(|line| self.send(line))?;
            }
            ClientEvent::Input(InputLine::Invalid(reason)) => {
                self.wants_line = true;
                self.unsent_lines += 1;
                self.notify(&escape::line(&reason))?;
            }
            ClientEvent::Notice(text) => self.notify(&escape::line(&text))?,
            ClientEvent::Signal(signal) => return Ok(Some(signal_exit_code(signal))),
            ClientEvent::Connection(number, event) if number == self.connection.number() => {
                return self.handle_connection_event(event);
            }
            ClientEvent::Connection(..) => {}
        }
        Ok(None)
    }

    fn handle_connection_event(&mut self, event: ConnectionEvent) -> Result<Option<ExitCode>, CliError> {
        match event {
            ConnectionEvent::Text(text) => self.handle_text(&text)?,
            ConnectionEvent::Closed => {
                self.finish_line()?;
                if self.state != TextSessionState::Open {
                    return self.end().map(Some);
                }
                if self.io.is_interactive {
                    self.notify("the server closed the connection")?;
                    return Ok(Some(ExitCode::SUCCESS));
                }
                (self.greeting_deadline, self.answer_deadline) = (None, None);
                self.state = TextSessionState::ClosedByServer(Instant::now() + FINAL_WAIT);
            }
            ConnectionEvent::Lost(reason) | ConnectionEvent::ProtocolError(reason) => {
                self.finish_line()?;
                return Err(self.server.error(&reason));
            }
            ConnectionEvent::Unreachable(error) if self.answers == Answers::Some => {
                self.answer_deadline = None;
                self.unsent_lines += 1;
                self.notify(&format!("not delivered: {}", cause(&error)))?;
            }
            ConnectionEvent::Unreachable(error) => {
                if !self.connection.try_next_address()? {
                    return Err(self.server.unreachable(&error));
                }
                let line = std::mem::take(&mut self.last_line);
                self.send(&line)?;
            }
            // The events of connections with JSON.
            ConnectionEvent::Opened(_) | ConnectionEvent::Payload(_) => {}
        }
        Ok(None)
    }

    fn send(&mut self, line: &str) -> Result<(), CliError> {
        if self.state != TextSessionState::Open {
            let line = sanitize::excerpt(line, MAX_EXCERPT_CHARS);
            return Err(self.server.error(&format!("the server closed the connection before '{line}' was sent")));
        }
        if let Err(reason) = self.connection.send(line) {
            self.unsent_lines += 1;
            let line = sanitize::excerpt(line, MAX_EXCERPT_CHARS);
            return self.notify(&format!("'{line}': not sent: {}", escape::line(&reason)));
        }
        if self.answers == Answers::NotExpected {
            self.answers = Answers::None;
        }
        line.clone_into(&mut self.last_line);
        self.answer_deadline = Some(deadline(self.timeout));
        Ok(())
    }

    fn handle_text(&mut self, DecodedText { text, is_valid }: &DecodedText) -> Result<(), CliError> {
        if self.connection.prove_address(text) {
            return Ok(());
        }
        if !is_valid && !std::mem::replace(&mut self.warned_of_invalid, true) {
            self.notify(
                "received text is invalid in this encoding: \u{fffd} replaces it; choose another with --encoding",
            )?;
        }
        match &mut self.lines {
            None => self.show(text),
            Some(lines) => match lines.push(text, Instant::now()) {
                Some(complete) => self.show(&complete),
                None => Ok(()),
            },
        }
    }

    fn finish_line(&mut self) -> Result<(), CliError> {
        match self.lines.as_mut().and_then(TextLines::finish) {
            Some(line) => self.show(&line),
            None => Ok(()),
        }
    }

    /// Shows text of the server, which may be the answer to the last line.
    fn show(&mut self, text: &str) -> Result<(), CliError> {
        if self.answers == Answers::None {
            self.answers = Answers::Some;
        }
        (self.greeting_deadline, self.answer_deadline) = (None, None);
        self.is_output_closed |= is_closed(self.io.display.show_text(text))?;
        Ok(())
    }

    fn notify(&mut self, text: &str) -> Result<(), CliError> {
        self.is_output_closed |= is_closed(self.io.display.show_notice(text))?;
        Ok(())
    }

    /// Ends the user's side.
    fn finish_input(&mut self) -> Result<Option<ExitCode>, CliError> {
        if self.state != TextSessionState::Open || !self.connection.finish() {
            return self.end().map(Some);
        }
        self.state = TextSessionState::InputEnded(Instant::now() + FINAL_WAIT);
        Ok(None)
    }

    fn end(&mut self) -> Result<ExitCode, CliError> {
        self.finish_line()?;
        match self.unsent_lines {
            _ if self.io.is_interactive => Ok(ExitCode::SUCCESS),
            0 if self.answers == Answers::None => Err(self.server.error("no answer to any line")),
            0 => Ok(ExitCode::SUCCESS),
            unsent => Err(CliError::Failed(format!("lines not sent: {unsent}"))),
        }
    }
}
