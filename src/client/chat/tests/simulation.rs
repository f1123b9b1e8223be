//! A network that loses what is under way, and a clock that is moved by hand.

use std::collections::VecDeque;
use std::time::Duration;

use super::fake_server::Server;
use crate::client::chat::{Action, Command, Ending, Notice, Session, Wishes};
use crate::services::chat::wire::{Event, Labelled, Request};

/// The session, the server, and what is between them.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) session: Session,
    pub(super) server: Server,
    /// Sent and not arrived.
    there: VecDeque<Labelled<'static>>,
    /// Whether the next attempt to connect is under way.
    pub(super) dialling: bool,
    pub(super) shown: Vec<Event<'static>>,
    pub(super) told: Vec<Notice>,
    pub(super) ended: Option<Ending>,
    /// Everything that was ever sent.
    pub(super) sent: Vec<Request<'static>>,
}

impl World {
    pub(super) fn new(wishes: Wishes, server: Server) -> Self {
        let mut world = Self {
            now: Duration::from_secs(1000),
            session: Session::new(wishes),
            server,
            there: VecDeque::new(),
            dialling: true,
            shown: Vec::new(),
            told: Vec::new(),
            ended: None,
            sent: Vec::new(),
        };
        world.connect();
        world
    }

    /// As one who is called eva, at a server that keeps a thousand messages.
    pub(super) fn with_eva(rooms: &[&str]) -> Self {
        let rooms = rooms.iter().map(|&room| room.to_owned()).collect();
        let wishes = Wishes { nick: Some("eva".into()), rooms, ..Wishes::default() };
        Self::new(wishes, Server::keeping(1000))
    }

    pub(super) fn connect(&mut self) {
        if std::mem::take(&mut self.dialling) {
            self.server.accept(self.now);
            self.session.handle_connected(self.now);
            self.act();
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.session.handle_command(command, self.now);
        self.act();
    }

    pub(super) fn say(&mut self, text: &str) {
        self.command(Command::Say(text.to_owned()));
    }

    /// The server hears one request.
    pub(super) fn transmit(&mut self) -> bool {
        let request = self.there.pop_front();
        request.map(|request| self.server.handle(request, self.now)).is_some()
    }

    /// The session hears one event.
    pub(super) fn deliver(&mut self) -> bool {
        let Some(event) = self.server.next_event() else { return false };
        self.session.handle_event(event, self.now);
        self.act();
        true
    }

    /// The connection breaks, and what is under way is gone.
    pub(super) fn lose(&mut self) {
        if self.server.hang_up() {
            self.there.clear();
            self.session.handle_lost("connection lost", self.now);
            self.act();
        }
    }

    /// The server is started again, and remembers nothing.
    pub(super) fn restart(&mut self) {
        self.lose();
        self.server.restart();
    }

    /// Time passes up to the session's next deadline, or this long.
    pub(super) fn pass(&mut self, at_most: Duration) {
        let due = self.session.next_timeout(self.now);
        self.now = due.map_or(self.now + at_most, |due| due.max(self.now).min(self.now + at_most));
        if due.is_some_and(|due| due <= self.now) {
            self.session.handle_timeout(self.now);
            self.act();
        }
    }

    /// Everything arrives, and the connection is opened again if there is none; for a minute of its time.
    pub(super) fn settle(&mut self) {
        let until = self.now + Duration::from_mins(1);
        while self.now < until && self.ended.is_none() {
            self.connect();
            self.exchange();
            self.pass(Duration::from_secs(1));
        }
        self.exchange();
    }

    /// All that is under way arrives, and so do its answers.
    pub(super) fn exchange(&mut self) {
        while self.transmit() || self.deliver() {}
    }

    /// All that the server has said arrives, and nothing gets there.
    pub(super) fn hear_all(&mut self) {
        while self.deliver() {}
    }

    fn act(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Connect => self.dialling = true,
                Action::Disconnect => {
                    self.server.hang_up();
                    self.there.clear();
                }
                Action::Send(labelled) => {
                    self.sent.push(labelled.request.clone());
                    self.there.push_back(labelled);
                }
                Action::Show(event) => self.shown.push(event),
                Action::Tell(notice) => self.told.push(notice),
                Action::End(ending) => self.ended = Some(ending),
            }
        }
    }

    /// The ids of a room that were shown.
    pub(super) fn ids(&self, name: &str) -> Vec<u64> {
        let ids = self.shown.iter().filter_map(|event| match event {
            Event::Message { room, id, .. } if room == name => Some(*id),
            _ => None,
        });
        ids.collect()
    }

    /// How often the server has this.
    pub(super) fn times_said(&self, wanted: &str) -> usize {
        self.server.rooms.values().flatten().filter(|(_, text)| text == wanted).count()
    }
}
