//! Does what a session says: opens and closes connections, sends, shows, waits. One thread, one queue of what happened.
//!
//! It decides nothing about chat. Lines of the user are taken one for each leave that was given to read one, so that nothing piles up.

use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use switchboard::client::ClientStream;
use switchboard::client::chat::{COMMANDS, ChatCommand, ChatSession, Ending, SessionAction, UserInput, parse_line};
use switchboard::escape;
use switchboard::services::chat::wire::ChatEvent;

use super::Plan;
use super::input::{Input, User};
use super::line::{Line, Target, Wire};
use super::screen::Screen;
use crate::cli::error::CliError;

/// What happened and was not dealt with yet. Whoever reads a socket or the input waits when it is full.
const MAX_INPUTS: usize = 256;

/// How long a prompt waits for an answer that changes it.
const SETTLE: Duration = Duration::from_secs(1);

/// How long a person who leaves waits for the last acknowledgement.
const LEAVE: Duration = Duration::from_secs(2);

/// A session and what it acts on.
pub(super) struct Driver {
    session: ChatSession,
    started: Instant,
    target: Target,
    screen: Box<dyn Screen>,
    inputs: Receiver<Input>,
    to_inputs: SyncSender<Input>,
    line: Option<Line>,
    /// Of the newest connection. What older ones still have to say is of no interest.
    number: u64,
    /// Lines that may be read and of which the reader does not know yet.
    owed: usize,
    /// When the prompt is given although an answer that changes it has not come.
    settled_by: Duration,
    leave_by: Option<Duration>,
    /// Whether the user has no more to say: lines that were read ahead are not said.
    has_left: bool,
    /// Lines that meant nothing.
    mistakes: u64,
}

impl Driver {
    /// Takes over a stream that is connected.
    pub(super) fn new(plan: Plan, stream: ClientStream, screen: Box<dyn Screen>) -> Result<Self, CliError> {
        let (to_inputs, inputs) = sync_channel(MAX_INPUTS);
        let line = Line::start(stream, plan.target.framing, 0, &to_inputs).map_err(|error| thread_failed(&error))?;
        Ok(Self {
            session: ChatSession::new(plan.wishes),
            started: Instant::now(),
            target: plan.target,
            screen,
            inputs,
            to_inputs,
            line: Some(line),
            number: 0,
            owed: 0,
            settled_by: Duration::ZERO,
            leave_by: None,
            has_left: false,
            mistakes: 0,
        })
    }

    /// Where others put what happens.
    pub(super) fn inputs(&self) -> SyncSender<Input> {
        self.to_inputs.clone()
    }

    /// Runs to the session's end.
    pub(super) fn run(mut self, user: &User) -> Result<ExitCode, CliError> {
        (self.owed, self.settled_by) = (user.lines, SETTLE);
        self.session.handle_connected(self.now());
        loop {
            if let Some(ending) = self.act(user)? {
                return self.end(ending, user);
            }
            self.give_leave(user);
            let input = match self.wait(user) {
                Ok(input) => input,
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.now();
                    if self.leave_by.is_some_and(|by| now >= by) {
                        return self.end(self.session.current_ending(), user);
                    }
                    self.session.handle_timeout(now);
                    continue;
                }
                // It holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return Ok(ExitCode::SUCCESS),
            };
            if let Some(code) = self.take(input, user)? {
                return Ok(code);
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wait(&self, user: &User) -> Result<Input, RecvTimeoutError> {
        let now = self.now();
        let settled_by =
            (user.is_person && self.owed > 0 && self.session.is_identity_pending()).then_some(self.settled_by);
        let due = [self.session.next_timeout(now), self.leave_by, settled_by].into_iter().flatten().min();
        match due {
            Some(due) => self.inputs.recv_timeout(due.saturating_sub(now)),
            None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Does all that the session asks for.
    fn act(&mut self, user: &User) -> Result<Option<Ending>, CliError> {
        let mut ending = None;
        while let Some(action) = self.session.next_action() {
            let shown = match action {
                SessionAction::Connect => {
                    self.number += 1;
                    Line::open(self.target.clone(), self.number, &self.to_inputs)
                        .map_err(|error| thread_failed(&error))?;
                    Ok(())
                }
                SessionAction::Disconnect => {
                    self.number += 1;
                    self.line = None;
                    Ok(())
                }
                SessionAction::Send(request) => self.send(&request),
                SessionAction::Show(event) => self.screen.event(&event),
                SessionAction::Notify(notice) => self.screen.tell(&notice.to_string()),
                SessionAction::End(end) => {
                    ending = Some(end);
                    Ok(())
                }
            };
            if is_closed(shown)? {
                return Ok(Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
            }
        }
        // What goes to a person's screen is shown by a thread that never has it wait.
        if !user.is_person && is_closed(self.screen.flush())? {
            return Ok(Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
        }
        Ok(ending)
    }

    fn send(&mut self, request: &switchboard::services::chat::wire::LabelledRequest<'_>) -> io::Result<()> {
        let payload = serde_json::to_vec(request)?;
        if let Some(line) = &self.line {
            line.send(&payload);
        }
        Ok(())
    }

    /// Lets further lines be read, where the session has room for them and the prompt is what it will be.
    fn give_leave(&mut self, user: &User) {
        if user.is_person && self.session.is_identity_pending() && self.now() < self.settled_by {
            return;
        }
        while self.owed > 0 && self.session.can_accept_command() {
            self.owed -= 1;
            let nick = self.session.nick().unwrap_or("guest");
            // A reader that has gone needs none.
            let _ = user.leave.send(format!("[{}] {}> ", escape::line(self.session.current()), escape::line(nick)));
        }
    }

    /// Deals with what happened; gives the exit code if that is the end.
    fn take(&mut self, input: Input, user: &User) -> Result<Option<ExitCode>, CliError> {
        let now = self.now();
        match input {
            Input::Text(_) | Input::Unreadable(_) if self.has_left => {}
            Input::Text(line) => {
                self.owed += 1;
                self.settled_by = now + SETTLE;
                self.obey(&line, user)?;
            }
            Input::Unreadable(why) => {
                self.owed += 1;
                self.mistake(&why)?;
            }
            Input::Remark(what) => {
                is_closed(self.screen.tell(&escape::line(&what)))?;
            }
            Input::End => self.leave(user),
            Input::Signal(signal) => return Ok(Some(ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)))),
            Input::Wire(number, _) if number != self.number => {}
            Input::Wire(_, Wire::Open(line)) => {
                self.line = Some(line);
                self.session.handle_connected(now);
            }
            Input::Wire(_, Wire::Lost(reason)) => {
                self.line = None;
                self.session.handle_disconnected(&reason, now);
            }
            Input::Wire(_, Wire::Foreign(what)) => return Err(self.foreign(&what)),
            Input::Wire(_, Wire::Payload(payload)) => {
                let event = read_event(&payload).map_err(|what| self.foreign(&what))?;
                if is_closed(self.screen.payload(&payload))? {
                    return Ok(Some(ExitCode::SUCCESS));
                }
                if let Some(event) = event {
                    self.session.handle_event(event, now);
                }
            }
        }
        Ok(None)
    }

    fn obey(&mut self, line: &str, user: &User) -> Result<(), CliError> {
        match parse_line(line) {
            Ok(None) => {}
            Ok(Some(UserInput::Command(command))) => self.session.handle_command(command, self.now()),
            Ok(Some(UserInput::Quit)) => self.leave(user),
            Ok(Some(UserInput::Help)) => {
                for (name, follows, does) in COMMANDS {
                    is_closed(self.screen.tell(&format!("{:<20} {does}", format!("{name} {follows}"))))?;
                }
            }
            Err(what) => self.mistake(&what)?,
        }
        Ok(())
    }

    fn mistake(&mut self, what: &str) -> Result<(), CliError> {
        self.mistakes += 1;
        is_closed(self.screen.tell(&escape::line(what))).map(drop)
    }

    /// The user has no more to say. A person does not wait for a server that is not there.
    fn leave(&mut self, user: &User) {
        (self.has_left, self.owed) = (true, 0);
        let now = self.now();
        if user.is_person {
            let patience = if self.session.is_idle() { Duration::ZERO } else { LEAVE };
            self.leave_by = Some(now + patience);
        }
        self.session.handle_command(ChatCommand::Finish, now);
    }

    fn end(&mut self, ending: Ending, user: &User) -> Result<ExitCode, CliError> {
        self.line = None;
        let _ = self.screen.flush();
        match ending {
            Ending::Disconnected(reason) => {
                Err(CliError::Failed(format!("{reason}; without --no-reconnect it would be opened again")))
            }
            Ending::NotChatServer(why) => {
                Err(CliError::Failed(format!("{why}: is this a chat server, and its port for JSON? (see --framing)")))
            }
            Ending::Rejected(reason) => {
                Err(CliError::Failed(format!("the server sent you away: {}", escape::line(&reason))))
            }
            _ if user.is_person && self.session.is_idle() => Ok(ExitCode::SUCCESS),
            Ending::Finished { rejected: refused, unconfirmed: lost } => {
                let refused = refused + self.mistakes;
                let what: Vec<_> =
                    [(refused, "was refused or not understood"), (lost as u64, "may not have been said")]
                        .into_iter()
                        .filter(|(count, _)| *count > 0)
                        .map(|(count, what)| format!("{count} of what you wrote {what}"))
                        .collect();
                if what.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(CliError::Failed(what.join(", "))) }
            }
        }
    }

    fn foreign(&self, what: &str) -> CliError {
        let (typed, framing) = (self.target.server.typed(), self.target.framing);
        CliError::Failed(format!(
            "{typed} does not speak chat's JSON in {framing} frames: {what}; check the address and --framing"
        ))
    }
}

/// What a payload says; nothing, if it is of a kind that a newer server may have.
fn read_event(payload: &[u8]) -> Result<Option<ChatEvent<'static>>, String> {
    match serde_json::from_slice(payload) {
        Ok(event) => Ok(Some(event)),
        Err(error) if error.is_data() && error.to_string().starts_with("unknown variant") => {
            log::debug!("not understood, and left alone: {error}");
            Ok(None)
        }
        Err(error) => Err(format!("'{}' is no event: {error}", beginning(payload))),
    }
}

/// The beginning of what a server sent, fit to be shown.
fn beginning(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let (shown, rest) = text.split_at(text.floor_char_boundary(60));
    format!("{}{}", escape::line(shown), if rest.is_empty() { "" } else { "…" })
}

/// Whether the reader of what was shown has gone.
fn is_closed(shown: io::Result<()>) -> Result<bool, CliError> {
    match shown {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(CliError::Failed(format!("cannot write to standard output: {error}"))),
    }
}

pub(super) fn thread_failed(error: &io::Error) -> CliError {
    CliError::Failed(format!("the operating system refused a thread: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_server_says_is_left_alone_and_nonsense_is_not() {
        assert!(matches!(read_event(br#"{"type":"pong","more":1}"#), Ok(Some(ChatEvent::Pong))));
        assert_eq!(read_event(br#"{"type":"fanfare"}"#), Ok(None));
        for (payload, says) in [
            (&b"hello"[..], "'hello' is no event: expected value"),
            (br#"{"type":"ack"}"#, "is no event: missing field"),
            (b"\x1b[2J\xff", "'\\u{1b}[2J\u{fffd}' is no event"),
        ] {
            let what = read_event(payload).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
        assert_eq!(beginning("世".repeat(100).as_bytes()), format!("{}…", "世".repeat(20)));
    }
}
