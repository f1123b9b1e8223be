//! A simulated network that can lose data in transit, and a clock that the test moves.

use std::collections::VecDeque;
use std::time::Duration;

use super::fake_server::FakeServer;
use crate::client::chat::{ChatCommand, ChatSession, Ending, Notice, SessionAction, SessionOptions};
use crate::services::chat::wire::{ChatEvent, ChatRequest, LabelledRequest};

/// The session, the server, and the data in transit between them.
#[derive(Debug)]
pub(super) struct ChatSimulation {
    pub(super) now: Duration,
    pub(super) session: ChatSession,
    pub(super) server: FakeServer,
    /// Requests in transit to the server.
    in_flight: VecDeque<LabelledRequest<'static>>,
    /// True if the session asked for a connection.
    pub(super) is_connecting: bool,
    pub(super) shown: Vec<ChatEvent<'static>>,
    pub(super) notices: Vec<Notice>,
    pub(super) ending: Option<Ending>,
    /// All requests that the session sent.
    pub(super) sent: Vec<ChatRequest<'static>>,
}

impl ChatSimulation {
    pub(super) fn new(options: SessionOptions, server: FakeServer) -> Self {
        let mut sim = Self {
            now: Duration::from_secs(1000),
            session: ChatSession::new(options),
            server,
            in_flight: VecDeque::new(),
            is_connecting: true,
            shown: Vec::new(),
            notices: Vec::new(),
            ending: None,
            sent: Vec::new(),
        };
        sim.connect();
        sim
    }

    /// Creates a simulation of the user eva, with a server that keeps 1000 messages of each room.
    pub(super) fn with_eva(rooms: &[&str]) -> Self {
        let rooms = rooms.iter().map(|&room| room.to_owned()).collect();
        let options = SessionOptions { nick: Some("eva".into()), rooms, ..SessionOptions::default() };
        Self::new(options, FakeServer::with_history(1000))
    }

    pub(super) fn connect(&mut self) {
        if std::mem::take(&mut self.is_connecting) {
            self.server.accept(self.now);
            self.session.handle_connected(self.now);
            self.apply_actions();
        }
    }

    pub(super) fn command(&mut self, command: ChatCommand) {
        self.session.handle_command(command, self.now);
        self.apply_actions();
    }

    pub(super) fn say(&mut self, text: &str) {
        self.command(ChatCommand::Say(text.to_owned()));
    }

    /// Delivers one request to the server. Returns false if none is in transit.
    pub(super) fn transmit(&mut self) -> bool {
        let request = self.in_flight.pop_front();
        request.map(|request| self.server.handle(request, self.now)).is_some()
    }

    /// Delivers one event to the session. Returns false if none is in transit.
    pub(super) fn deliver(&mut self) -> bool {
        let Some(event) = self.server.next_event() else { return false };
        self.session.handle_event(event, self.now);
        self.apply_actions();
        true
    }

    /// Breaks the connection; the data in transit is lost.
    pub(super) fn disconnect(&mut self) {
        if self.server.close_connection() {
            self.in_flight.clear();
            self.session.handle_disconnected("connection lost", self.now);
            self.apply_actions();
        }
    }

    /// Restarts the server, which loses its messages.
    pub(super) fn restart(&mut self) {
        self.disconnect();
        self.server.restart();
    }

    /// Advances the clock to the session's next deadline, by at most `max_wait`.
    pub(super) fn advance(&mut self, max_wait: Duration) {
        let due = self.session.next_timeout(self.now);
        self.now = due.map_or(self.now + max_wait, |due| due.max(self.now).min(self.now + max_wait));
        if due.is_some_and(|due| due <= self.now) {
            self.session.handle_timeout(self.now);
            self.apply_actions();
        }
    }

    /// Delivers everything and reconnects if necessary, for 60 s of simulated time.
    pub(super) fn run_until_quiet(&mut self) {
        let until = self.now + Duration::from_mins(1);
        while self.now < until && self.ending.is_none() {
            self.connect();
            self.exchange();
            self.advance(Duration::from_secs(1));
        }
        self.exchange();
    }

    /// Delivers all requests, and all events that answer them.
    pub(super) fn exchange(&mut self) {
        while self.transmit() || self.deliver() {}
    }

    /// Delivers all events, but no requests.
    pub(super) fn deliver_all(&mut self) {
        while self.deliver() {}
    }

    fn apply_actions(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                SessionAction::Connect => self.is_connecting = true,
                SessionAction::Disconnect => {
                    self.server.close_connection();
                    self.in_flight.clear();
                }
                SessionAction::Send(labelled) => {
                    self.sent.push(labelled.request.clone());
                    self.in_flight.push_back(labelled);
                }
                SessionAction::Show(event) => self.shown.push(event),
                SessionAction::Notify(notice) => self.notices.push(notice),
                SessionAction::End(ending) => self.ending = Some(ending),
            }
        }
    }

    /// Returns the ids of a room's messages that were shown.
    pub(super) fn ids(&self, name: &str) -> Vec<u64> {
        let ids = self.shown.iter().filter_map(|event| match event {
            ChatEvent::Message { room, id, .. } if room == name => Some(*id),
            _ => None,
        });
        ids.collect()
    }

    /// Returns the number of messages with this text at the server.
    pub(super) fn times_stored(&self, expected: &str) -> usize {
        self.server.rooms.values().flatten().filter(|(_, text)| text == expected).count()
    }
}
