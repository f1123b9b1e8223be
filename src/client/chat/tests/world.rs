//! A chat server without sockets, a network that loses what is under way, and a clock that is moved by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::client::chat::{Action, Command, Ending, LOBBY, Notice, Session, Wishes};
use crate::services::chat::wire::{Event, Labelled, Listed, Request};

/// The server.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// What was said, by id less one.
    pub(super) rooms: BTreeMap<String, Vec<(String, String)>>,
    /// Messages of a room that it keeps.
    pub(super) keep: usize,
    /// Requests a second and at once.
    pub(super) allows: Option<(u32, u32)>,
    /// Nicks that somebody has.
    pub(super) taken: BTreeSet<String>,
    /// Whether a `say` is acknowledged only after everybody has it.
    pub(super) acks_late: bool,
    /// Whether it announces what it no longer has.
    pub(super) is_silent_about_gaps: bool,
    /// Whether it says which start of it this is, the how manieth.
    pub(super) tells_start: bool,
    starts: u32,
    client: Option<Client>,
    guests: u32,
}

#[derive(Debug)]
struct Client {
    nick: String,
    rooms: BTreeSet<String>,
    out: VecDeque<Event<'static>>,
    tokens: f64,
    counted_at: Duration,
}

impl Server {
    /// One that keeps so many messages of each room.
    pub(super) fn keeping(keep: usize) -> Self {
        Self { keep, ..Self::default() }
    }

    fn accept(&mut self, now: Duration) {
        self.guests += 1;
        let tokens = self.allows.map_or(0.0, |(_, burst)| burst.into());
        self.client = Some(Client {
            nick: format!("guest-{}", self.guests),
            rooms: [LOBBY.to_owned()].into(),
            out: VecDeque::new(),
            tokens,
            counted_at: now,
        });
    }

    /// Somebody says something.
    pub(super) fn say(&mut self, room: &str, from: &str, text: &str) -> u64 {
        let said = self.rooms.entry(room.to_owned()).or_default();
        said.push((from.to_owned(), text.to_owned()));
        let id = said.len() as u64;
        if let Some(client) = self.client.as_mut().filter(|client| client.rooms.contains(room)) {
            client.out.push_back(message(room, id, from, text));
        }
        id
    }

    pub(super) fn say_often(&mut self, room: &str, from: &str, text: &str, times: usize) {
        for _ in 0..times {
            self.say(room, from, text);
        }
    }

    fn tell(&mut self, event: Event<'static>) {
        if let Some(client) = &mut self.client {
            client.out.push_back(event);
        }
    }

    fn handle(&mut self, labelled: Labelled<'static>, now: Duration) {
        self.count(now);
        let Labelled { request, label } = labelled;
        let Some(client) = &mut self.client else { return };
        let nick = client.nick.clone();
        let failed = |code: &str, room: Option<&str>, offer: Option<String>| Event::Error {
            code: code.to_owned().into(),
            text: "no".into(),
            room: room.map(|room| room.to_owned().into()),
            first: None,
            count: None,
            offer: offer.map(Into::into),
            label: label.clone(),
        };
        match request {
            Request::Hello { nick: wished } if self.taken.contains(&*wished) => {
                let offer = (2..9).map(|number| format!("{wished}{number}")).find(|nick| !self.taken.contains(nick));
                self.tell(failed("nick-taken", None, offer));
            }
            Request::Hello { nick } => {
                client.nick = nick.into_owned();
                let event = Event::Welcome {
                    server: self.tells_start.then(|| self.starts.to_string().into()),
                    nick: client.nick.clone().into(),
                    rooms: client.rooms.iter().map(|room| room.clone().into()).collect(),
                    messages_per_second: self.allows.map(|(number, _)| number),
                    burst: self.allows.map(|(_, burst)| burst),
                };
                self.tell(event);
            }
            Request::Join { room, .. } if room.starts_with('!') => self.tell(failed("bad-room", Some(&room), None)),
            Request::Join { room, since } => {
                client.rooms.insert(room.clone().into_owned());
                self.tell(Event::Joined { room: room.clone(), nick: nick.into() });
                if let Some(since) = since {
                    self.replay(&room, since);
                }
            }
            Request::Leave { room } => {
                client.rooms.remove(&*room);
                self.tell(Event::Left { room, nick: nick.into() });
            }
            Request::Say { room, text } if !client.rooms.contains(&*room) || text.contains('\x07') => {
                self.tell(failed("refused", Some(&room), None));
            }
            Request::Say { room, text } => {
                let acks = |server: &mut Self, id| {
                    label.clone().into_iter().for_each(|label| server.tell(Event::Ack { label, id }));
                };
                let next = self.rooms.get(&*room).map_or(0, Vec::len) as u64 + 1;
                if !self.acks_late {
                    acks(self, next);
                }
                self.say(&room, &nick, &text);
                if self.acks_late {
                    acks(self, next);
                }
            }
            Request::Whisper { to, text } => self.tell(Event::Whisper { from: nick.into(), to, text, at: "".into() }),
            Request::Who { room, next } => {
                let page = next.unwrap_or(0);
                self.tell(Event::Who { room, count: 9, nicks: vec![format!("n{page}").into()], next: Some(page + 1) });
            }
            Request::Rooms { .. } => {
                self.tell(Event::Rooms { rooms: vec![Listed { room: LOBBY.into(), members: 1 }], next: None });
            }
            Request::Nick { nick: new } => {
                client.nick = new.clone().into_owned();
                self.tell(Event::Renamed { was: nick.into(), nick: new });
            }
            Request::Ping => self.tell(Event::Pong),
        }
    }

    fn replay(&mut self, room: &str, since: u64) {
        let said = self.rooms.get(room).cloned().unwrap_or_default();
        let last = said.len() as u64;
        let mut next = since + 1;
        let error = |code: &'static str, first: Option<u64>, count: Option<u64>| Event::Error {
            code: code.into(),
            text: "".into(),
            room: Some(room.to_owned().into()),
            first,
            count,
            offer: None,
            label: None,
        };
        if since > last {
            self.tell(error("unknown-id", None, None));
            next = 1;
        }
        let kept = last.saturating_sub(self.keep as u64) + 1;
        if next < kept {
            if !self.is_silent_about_gaps {
                self.tell(error("missed", Some(next), Some(kept - next)));
            }
            next = kept;
        }
        for (id, (from, text)) in (1..).zip(&said).skip_while(|(id, _)| *id < next) {
            self.tell(message(room, id, from, text));
        }
    }

    /// Panics if the client is faster than it may.
    fn count(&mut self, now: Duration) {
        let (Some((per_second, burst)), Some(client)) = (self.allows, &mut self.client) else { return };
        let passed = now.saturating_sub(client.counted_at).as_secs_f64();
        client.tokens = f64::from(burst).min(client.tokens + passed * f64::from(per_second)) - 1.0;
        client.counted_at = now;
        assert!(client.tokens > -1e-6, "flood");
    }
}

fn message(room: &str, id: u64, from: &str, text: &str) -> Event<'static> {
    let (room, from, text) = (room.to_owned().into(), from.to_owned().into(), text.to_owned().into());
    Event::Message { room, id, from, text, at: "".into() }
}

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
        let event = self.server.client.as_mut().and_then(|client| client.out.pop_front());
        let Some(event) = event else { return false };
        self.session.handle_event(event, self.now);
        self.act();
        true
    }

    /// The connection breaks, and what is under way is gone.
    pub(super) fn lose(&mut self) {
        if self.server.client.take().is_some() {
            self.there.clear();
            self.session.handle_lost("connection lost", self.now);
            self.act();
        }
    }

    /// The server is started again, and remembers nothing.
    pub(super) fn restart(&mut self) {
        self.lose();
        self.server.rooms.clear();
        self.server.starts += 1;
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

    fn act(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Connect => self.dialling = true,
                Action::Disconnect => {
                    self.server.client = None;
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
