//! The loop of a chat session: opens and closes connections, sends, shows, and waits. One thread
//! takes all events from one queue.
//!
//! The protocol's decisions are the library's `ChatSession`. The input thread reads one line per
//! permit, so that unsent lines stay bounded.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use switchboard::client::chat::{
    COMMANDS, ChatCommand, ChatSession, Ending, SessionAction, SessionOptions, UserInput, parse_line,
};
use switchboard::services::chat::wire::LabelledRequest;
use switchboard::{Framing, SocketStream, escape};

use super::connection::ChatConnection;
use super::connector;
use super::display::ChatDisplay;
use super::event::{ClientEvent, ConnectionEvent};
use super::event_parser::parse_event;
use super::session_io::{SessionIo, signal_exit_code, thread_error};
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::error::CliError;
use crate::cli::terminal::{InputLine, stdout::is_closed};

/// Lines read ahead of the session from a pipe. At a prompt, none is.
const MAX_LINES_AHEAD: usize = 32;

/// The wait for a reply that changes the prompt, such as a new nick or room.
const PROMPT_WAIT: Duration = Duration::from_secs(1);

/// The wait for the last acknowledgement after a person leaves.
const EXIT_WAIT: Duration = Duration::from_secs(2);

/// A server, its framing, and the time limit for connecting.
pub(super) struct JsonServer {
    pub(super) address: ServerAddress,
    pub(super) framing: Framing,
    pub(super) connect_timeout: Duration,
}

/// A session, its connection and its display.
pub(super) struct SessionRunner {
    session: ChatSession,
    started: Instant,
    server: JsonServer,
    display: Box<dyn ChatDisplay>,
    events: Receiver<ClientEvent>,
    event_sender: SyncSender<ClientEvent>,
    /// Permits the thread `input` to read one line; the value is the prompt.
    permits: Sender<String>,
    /// True if a person types at a prompt.
    is_interactive: bool,
    connection: Option<ChatConnection>,
    /// The number of the newest connection. Events of older connections are ignored.
    connection_number: u64,
    /// Permits to read a line that have not been given to the input thread yet.
    unsent_permits: usize,
    /// The time at which the prompt appears without the reply that changes it.
    prompt_deadline: Duration,
    exit_deadline: Option<Duration>,
    /// True once the user has left. Lines read ahead are then not sent.
    is_leaving: bool,
    /// Lines that were neither a message nor a known command.
    invalid_lines: u64,
}

impl SessionRunner {
    /// Starts the threads of a session on a connected stream.
    pub(super) fn start(
        io: SessionIo,
        server: JsonServer,
        stream: SocketStream,
        options: SessionOptions,
    ) -> Result<Self, CliError> {
        let SessionIo { display, events, event_sender, permits, is_interactive } = io;
        let connection =
            connector::start(stream, server.framing, 0, &event_sender).map_err(|error| thread_error(&error))?;
        Ok(Self {
            session: ChatSession::new(options),
            started: Instant::now(),
            server,
            display,
            events,
            event_sender,
            permits,
            is_interactive,
            connection: Some(connection),
            connection_number: 0,
            unsent_permits: if is_interactive { 1 } else { MAX_LINES_AHEAD },
            prompt_deadline: PROMPT_WAIT,
            exit_deadline: None,
            is_leaving: false,
            invalid_lines: 0,
        })
    }

    /// Runs until the session ends.
    pub(super) fn run(mut self) -> Result<ExitCode, CliError> {
        self.session.handle_connected(self.now());
        loop {
            if let Some(ending) = self.run_actions()? {
                return self.end(ending);
            }
            self.send_permits();
            let event = match self.wait() {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.now();
                    if self.exit_deadline.is_some_and(|deadline| now >= deadline) {
                        return self.end(self.session.current_ending());
                    }
                    self.session.handle_timeout(now);
                    continue;
                }
                // Impossible: the runner itself holds a sender.
                Err(RecvTimeoutError::Disconnected) => return Ok(ExitCode::SUCCESS),
            };
            if let Some(code) = self.handle_event(event)? {
                return Ok(code);
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wait(&self) -> Result<ClientEvent, RecvTimeoutError> {
        let now = self.now();
        let waits_for_prompt = self.is_interactive && self.unsent_permits > 0 && self.session.is_identity_pending();
        let prompt_deadline = waits_for_prompt.then_some(self.prompt_deadline);
        let due = [self.session.next_timeout(now), self.exit_deadline, prompt_deadline].into_iter().flatten().min();
        match due {
            Some(due) => self.events.recv_timeout(due.saturating_sub(now)),
            None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Performs all actions of the session. Returns the ending if it has one.
    fn run_actions(&mut self) -> Result<Option<Ending>, CliError> {
        let mut ending = None;
        while let Some(action) = self.session.next_action() {
            let written = match action {
                SessionAction::Connect => {
                    self.connection_number += 1;
                    let JsonServer { address, framing, connect_timeout } = &self.server;
                    let number = self.connection_number;
                    connector::open(address.clone(), *framing, *connect_timeout, number, &self.event_sender)
                        .map_err(|error| thread_error(&error))?;
                    Ok(())
                }
                SessionAction::Disconnect => {
                    self.connection_number += 1;
                    self.connection = None;
                    Ok(())
                }
                SessionAction::Send(request) => self.send(&request),
                SessionAction::Show(event) => self.display.show_event(&event),
                SessionAction::Notify(notice) => self.display.show_notice(&notice.to_string()),
                SessionAction::End(end) => {
                    ending = Some(end);
                    Ok(())
                }
            };
            if is_closed(written)? {
                return Ok(Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
            }
        }
        // A terminal's display has a thread of its own and needs no flush.
        if !self.is_interactive && is_closed(self.display.flush())? {
            return Ok(Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
        }
        Ok(ending)
    }

    fn send(&mut self, request: &LabelledRequest<'_>) -> io::Result<()> {
        let payload = serde_json::to_vec(request)?;
        if let Some(connection) = &self.connection {
            connection.send(&payload);
        }
        Ok(())
    }

    /// Permits the input thread to read lines, as far as the session can take them. At a prompt,
    /// waits first for the reply that changes it.
    fn send_permits(&mut self) {
        if self.is_interactive && self.session.is_identity_pending() && self.now() < self.prompt_deadline {
            return;
        }
        while self.unsent_permits > 0 && self.session.can_accept_command() {
            self.unsent_permits -= 1;
            let nick = self.session.nick().unwrap_or("guest");
            // Ignore the error: the input thread has ended.
            let _ = self.permits.send(format!("[{}] {}> ", escape::line(self.session.current()), escape::line(nick)));
        }
    }

    /// Handles one event. Returns the exit code if the program must end.
    fn handle_event(&mut self, event: ClientEvent) -> Result<Option<ExitCode>, CliError> {
        let now = self.now();
        match event {
            ClientEvent::Input(InputLine::End) => self.leave(),
            ClientEvent::Input(_) if self.is_leaving => {}
            ClientEvent::Input(InputLine::Text(line)) => {
                self.unsent_permits += 1;
                self.prompt_deadline = now + PROMPT_WAIT;
                self.handle_line(&line)?;
            }
            ClientEvent::Input(InputLine::Invalid(reason)) => {
                self.unsent_permits += 1;
                self.reject_line(&reason)?;
            }
            ClientEvent::Notice(text) => {
                is_closed(self.display.show_notice(&escape::line(&text)))?;
            }
            ClientEvent::Signal(signal) => {
                return Ok(Some(signal_exit_code(signal)));
            }
            ClientEvent::Connection(number, _) if number != self.connection_number => {}
            ClientEvent::Connection(_, ConnectionEvent::Opened(connection)) => {
                self.connection = Some(connection);
                self.session.handle_connected(now);
            }
            ClientEvent::Connection(_, ConnectionEvent::Lost(reason)) => {
                self.connection = None;
                self.session.handle_disconnected(&reason, now);
            }
            ClientEvent::Connection(_, ConnectionEvent::Closed) => {
                self.connection = None;
                self.session.handle_disconnected("connection lost", now);
            }
            // The events of servers without JSON.
            ClientEvent::Connection(_, ConnectionEvent::Text(_) | ConnectionEvent::Unreachable(_)) => {}
            ClientEvent::Connection(_, ConnectionEvent::ProtocolError(what)) => {
                return Err(self.protocol_error(&what));
            }
            ClientEvent::Connection(_, ConnectionEvent::Payload(payload)) => {
                let event = parse_event(&payload).map_err(|what| self.protocol_error(&what))?;
                if is_closed(self.display.show_payload(&payload))? {
                    return Ok(Some(ExitCode::SUCCESS));
                }
                if let Some(event) = event {
                    self.session.handle_event(event, now);
                }
            }
        }
        Ok(None)
    }

    fn handle_line(&mut self, line: &str) -> Result<(), CliError> {
        match parse_line(line) {
            Ok(None) => {}
            Ok(Some(UserInput::Command(command))) => self.session.handle_command(command, self.now()),
            Ok(Some(UserInput::Quit)) => self.leave(),
            Ok(Some(UserInput::Help)) => {
                for (name, arguments, description) in COMMANDS {
                    let line = format!("{:<20} {description}", format!("{name} {arguments}"));
                    is_closed(self.display.show_notice(&line))?;
                }
            }
            Err(reason) => self.reject_line(&reason)?,
        }
        Ok(())
    }

    fn reject_line(&mut self, reason: &str) -> Result<(), CliError> {
        self.invalid_lines += 1;
        is_closed(self.display.show_notice(&escape::line(reason))).map(drop)
    }

    /// Ends the user's side. A person waits for the last acknowledgement only if a message is
    /// unacknowledged.
    fn leave(&mut self) {
        (self.is_leaving, self.unsent_permits) = (true, 0);
        let now = self.now();
        if self.is_interactive {
            let wait = if self.session.is_idle() { Duration::ZERO } else { EXIT_WAIT };
            self.exit_deadline = Some(now + wait);
        }
        self.session.handle_command(ChatCommand::Finish, now);
    }

    fn end(&mut self, ending: Ending) -> Result<ExitCode, CliError> {
        self.connection = None;
        let _ = self.display.flush();
        match ending {
            Ending::Disconnected(reason) => {
                Err(CliError::Failed(format!("{reason}; --no-reconnect forbids a new connection")))
            }
            Ending::NotChatServer(reason) => Err(CliError::Failed(format!(
                "{reason}; check that this is a chat server's port for JSON, and --framing, which is raw or lines for a \
                 server of plain text"
            ))),
            Ending::Rejected(reason) => {
                Err(CliError::Failed(format!("the server removed you: {}", escape::line(&reason))))
            }
            _ if self.is_interactive && self.session.is_idle() => Ok(ExitCode::SUCCESS),
            Ending::Finished { rejected, unconfirmed } => {
                let rejected = rejected + self.invalid_lines;
                let problems: Vec<_> =
                    [(rejected, "refused or invalid"), (unconfirmed as u64, "possibly not delivered")]
                        .into_iter()
                        .filter(|(count, _)| *count > 0)
                        .map(|(count, problem)| format!("{problem}: {count}"))
                        .collect();
                if problems.is_empty() {
                    Ok(ExitCode::SUCCESS)
                } else {
                    Err(CliError::Failed(format!("lines {}", problems.join(", "))))
                }
            }
        }
    }

    fn protocol_error(&self, what: &str) -> CliError {
        let JsonServer { address, framing, .. } = &self.server;
        address.error(&format!(
            "invalid chat event: {what}; expected JSON in {framing} frames: check the address and --framing, which is \
             raw or lines for a server of plain text"
        ))
    }
}
