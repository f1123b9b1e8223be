//! A chat server without sockets, as obedient or as odd as a test wants it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::client::chat::LOBBY;
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
    /// Whether it says which start of it this is, and does not replay what it has sent on the same connection.
    pub(super) tells_start: bool,
    /// The code of the error that it has for whoever connects.
    pub(super) turns_away: Option<&'static str>,
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
    /// The first id of each room that was, or will be, sent as it is said.
    live_from: BTreeMap<String, u64>,
}

impl Server {
    /// One that keeps so many messages of each room.
    pub(super) fn keeping(keep: usize) -> Self {
        Self { keep, ..Self::default() }
    }

    pub(super) fn accept(&mut self, now: Duration) {
        self.guests += 1;
        let tokens = self.allows.map_or(0.0, |(_, burst)| burst.into());
        self.client = Some(Client {
            nick: format!("guest-{}", self.guests),
            rooms: [LOBBY.to_owned()].into(),
            out: VecDeque::new(),
            tokens,
            counted_at: now,
            live_from: BTreeMap::new(),
        });
        self.begin_live(LOBBY);
        if let Some(code) = self.turns_away {
            self.tell(error(code, None, None, None));
            self.tell(Event::Bye { reason: "no".into() });
        }
    }

    /// What the client missed while nobody was connected is all that is replayed to it: what comes from here on, it gets live.
    fn begin_live(&mut self, room: &str) {
        let next = self.rooms.get(room).map_or(0, Vec::len) as u64 + 1;
        if let Some(client) = &mut self.client {
            client.live_from.insert(room.to_owned(), next);
        }
    }

    /// What the client hears next.
    pub(super) fn next_event(&mut self) -> Option<Event<'static>> {
        self.client.as_mut().and_then(|client| client.out.pop_front())
    }

    /// Whether there was a client.
    pub(super) fn hang_up(&mut self) -> bool {
        self.client.take().is_some()
    }

    /// It remembers nothing.
    pub(super) fn restart(&mut self) {
        self.rooms.clear();
        self.starts += 1;
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

    /// The server says this, whatever it was asked.
    pub(super) fn tell(&mut self, event: Event<'static>) {
        if let Some(client) = &mut self.client {
            client.out.push_back(event);
        }
    }

    pub(super) fn handle(&mut self, labelled: Labelled<'static>, now: Duration) {
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
                if client.rooms.insert(room.clone().into_owned()) {
                    self.begin_live(&room);
                }
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
        if since > last {
            self.tell(error("unknown-id", Some(room), None, None));
            next = 1;
        }
        // What was sent live is not missed, even if it is kept no longer.
        let live_from = self.client.as_ref().filter(|_| self.tells_start).and_then(|client| client.live_from.get(room));
        let live_from = live_from.copied().unwrap_or(last + 1);
        let kept = live_from.min(last.saturating_sub(self.keep as u64) + 1);
        if next < kept {
            if !self.is_silent_about_gaps {
                self.tell(error("missed", Some(room), Some(next), Some(kept - next)));
            }
            next = kept;
        }
        for (id, (from, text)) in (1..live_from).zip(&said).skip_while(|(id, _)| *id < next) {
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

/// An error that answers no request.
pub(super) fn error(code: &str, room: Option<&str>, first: Option<u64>, count: Option<u64>) -> Event<'static> {
    let (code, room) = (code.to_owned().into(), room.map(|room| room.to_owned().into()));
    Event::Error { code, text: "no".into(), room, first, count, offer: None, label: None }
}
