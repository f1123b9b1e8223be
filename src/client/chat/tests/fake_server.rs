//! A chat server without sockets, with the faults that a test selects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::client::chat::LOBBY;
use crate::services::chat::wire::{ChatEvent, ChatRequest, LabelledRequest, RoomListing};

/// A simulated server with at most one client.
#[derive(Debug, Default)]
pub(super) struct FakeServer {
    /// Messages of each room; the index is the id minus one.
    pub(super) rooms: BTreeMap<String, Vec<(String, String)>>,
    /// Number of messages of a room that the server can replay.
    pub(super) history_len: usize,
    /// Requests per second, and the burst.
    pub(super) rate_limit: Option<(u32, u32)>,
    /// Nicks in use.
    pub(super) taken_nicks: BTreeSet<String>,
    /// True if the server acknowledges a `say` after its broadcast instead of before it.
    pub(super) acks_after_broadcast: bool,
    /// True if the server does not announce messages that it no longer keeps.
    pub(super) hides_gaps: bool,
    /// True if the server sends its start number, and does not replay what it has sent on the same
    /// connection.
    pub(super) announces_start: bool,
    /// Code of the error with which the server rejects each connection.
    pub(super) rejects_with: Option<&'static str>,
    /// Code of the error with which the server refuses each nick.
    pub(super) refuses_nicks_with: Option<&'static str>,
    starts: u32,
    client: Option<FakeClient>,
    guests: u32,
}

#[derive(Debug)]
struct FakeClient {
    nick: String,
    rooms: BTreeSet<String>,
    out: VecDeque<ChatEvent<'static>>,
    tokens: f64,
    counted_at: Duration,
    /// The first id of each room that the client receives live.
    live_from_id: BTreeMap<String, u64>,
}

impl FakeServer {
    /// Creates a server that keeps `history_len` messages of each room.
    pub(super) fn with_history(history_len: usize) -> Self {
        Self { history_len, ..Self::default() }
    }

    pub(super) fn accept(&mut self, now: Duration) {
        self.guests += 1;
        let tokens = self.rate_limit.map_or(0.0, |(_, burst)| burst.into());
        self.client = Some(FakeClient {
            nick: format!("guest-{}", self.guests),
            rooms: [LOBBY.to_owned()].into(),
            out: VecDeque::new(),
            tokens,
            counted_at: now,
            live_from_id: BTreeMap::new(),
        });
        self.begin_live(LOBBY);
        if let Some(code) = self.rejects_with {
            self.send_event(error(code, None, None, None));
            self.send_event(ChatEvent::Bye { reason: "no".into() });
        }
    }

    /// Marks the start of live messages. The replay contains only the earlier ones.
    fn begin_live(&mut self, room: &str) {
        let next = self.rooms.get(room).map_or(0, Vec::len) as u64 + 1;
        if let Some(client) = &mut self.client {
            client.live_from_id.insert(room.to_owned(), next);
        }
    }

    /// Returns the next event for the client.
    pub(super) fn next_event(&mut self) -> Option<ChatEvent<'static>> {
        self.client.as_mut().and_then(|client| client.out.pop_front())
    }

    /// Closes the connection. Returns true if a client was connected.
    pub(super) fn close_connection(&mut self) -> bool {
        self.client.take().is_some()
    }

    /// Restarts the server without its messages.
    pub(super) fn restart(&mut self) {
        self.rooms.clear();
        self.starts += 1;
    }

    /// Adds a message to a room, and sends it to the client.
    pub(super) fn say(&mut self, room: &str, from: &str, text: &str) -> u64 {
        let messages = self.rooms.entry(room.to_owned()).or_default();
        messages.push((from.to_owned(), text.to_owned()));
        let id = messages.len() as u64;
        if let Some(client) = self.client.as_mut().filter(|client| client.rooms.contains(room)) {
            client.out.push_back(message(room, id, from, text));
        }
        id
    }

    pub(super) fn say_times(&mut self, room: &str, from: &str, text: &str, times: usize) {
        for _ in 0..times {
            self.say(room, from, text);
        }
    }

    /// Sends an unsolicited event.
    pub(super) fn send_event(&mut self, event: ChatEvent<'static>) {
        if let Some(client) = &mut self.client {
            client.out.push_back(event);
        }
    }

    pub(super) fn handle(&mut self, labelled: LabelledRequest<'static>, now: Duration) {
        self.charge_request(now);
        let LabelledRequest { request, label } = labelled;
        let Some(client) = &mut self.client else { return };
        let nick = client.nick.clone();
        let failed = |code: &str, room: Option<&str>, offer: Option<String>| ChatEvent::Error {
            code: code.to_owned().into(),
            text: "no".into(),
            room: room.map(|room| room.to_owned().into()),
            first: None,
            count: None,
            last: None,
            offer: offer.map(Into::into),
            label: label.clone(),
        };
        match request {
            ChatRequest::Hello { .. } if self.refuses_nicks_with.is_some() => {
                let code = self.refuses_nicks_with.unwrap_or_default();
                self.send_event(failed(code, None, None));
            }
            ChatRequest::Hello { nick: requested_nick } if self.taken_nicks.contains(&*requested_nick) => {
                let offer = (2..9)
                    .map(|number| format!("{requested_nick}{number}"))
                    .find(|nick| !self.taken_nicks.contains(nick));
                self.send_event(failed("nick-taken", None, offer));
            }
            ChatRequest::Hello { nick } => {
                client.nick = nick.into_owned();
                let event = ChatEvent::Welcome {
                    server: self.announces_start.then(|| self.starts.to_string().into()),
                    nick: client.nick.clone().into(),
                    rooms: client.rooms.iter().map(|room| room.clone().into()).collect(),
                    messages_per_second: self.rate_limit.map(|(number, _)| number),
                    burst: self.rate_limit.map(|(_, burst)| burst),
                };
                self.send_event(event);
            }
            ChatRequest::Join { room, .. } if room.starts_with('!') => {
                self.send_event(failed("bad-room", Some(&room), None));
            }
            ChatRequest::Join { room, since } => {
                if client.rooms.insert(room.clone().into_owned()) {
                    self.begin_live(&room);
                }
                self.send_event(ChatEvent::Joined { room: room.clone(), nick: nick.into() });
                if let Some(since) = since {
                    self.replay(&room, since);
                }
            }
            ChatRequest::Leave { room } => {
                client.rooms.remove(&*room);
                self.send_event(ChatEvent::Left { room, nick: nick.into() });
            }
            ChatRequest::Say { room, text, .. } if !client.rooms.contains(&*room) || text.contains('\x07') => {
                self.send_event(failed("refused", Some(&room), None));
            }
            ChatRequest::Say { room, text, .. } => {
                let acks = |server: &mut Self, id| {
                    label.clone().into_iter().for_each(|label| server.send_event(ChatEvent::Ack { label, id }));
                };
                let next = self.rooms.get(&*room).map_or(0, Vec::len) as u64 + 1;
                if !self.acks_after_broadcast {
                    acks(self, next);
                }
                self.say(&room, &nick, &text);
                if self.acks_after_broadcast {
                    acks(self, next);
                }
            }
            ChatRequest::Whisper { to, text } => {
                self.send_event(ChatEvent::Whisper { from: nick.into(), to, text, at: "".into() });
            }
            ChatRequest::Who { room, next } => {
                let page = next.unwrap_or(0);
                self.send_event(ChatEvent::Who {
                    room,
                    count: 9,
                    nicks: vec![format!("n{page}").into()],
                    next: Some(page + 1),
                });
            }
            ChatRequest::Rooms { .. } => {
                self.send_event(ChatEvent::Rooms {
                    rooms: vec![RoomListing { room: LOBBY.into(), members: 1 }],
                    next: None,
                });
            }
            ChatRequest::Nick { nick: new } => {
                client.nick = new.clone().into_owned();
                self.send_event(ChatEvent::Renamed { was: nick.into(), nick: new });
            }
            ChatRequest::Ping => self.send_event(ChatEvent::Pong),
        }
    }

    fn replay(&mut self, room: &str, since: u64) {
        let messages = self.rooms.get(room).cloned().unwrap_or_default();
        let last_id = messages.len() as u64;
        let mut next = since + 1;
        if since > last_id {
            self.send_event(error("unknown-id", Some(room), None, None));
            next = 1;
        }
        // Messages that were sent live are not lost, even if the server no longer keeps them.
        let live_from_id =
            self.client.as_ref().filter(|_| self.announces_start).and_then(|client| client.live_from_id.get(room));
        let live_from_id = live_from_id.copied().unwrap_or(last_id + 1);
        let kept = live_from_id.min(last_id.saturating_sub(self.history_len as u64) + 1);
        if next < kept {
            if !self.hides_gaps {
                self.send_event(error("missed", Some(room), Some(next), Some(kept - next)));
            }
            next = kept;
        }
        for (id, (from, text)) in (1..live_from_id).zip(&messages).skip_while(|(id, _)| *id < next) {
            self.send_event(message(room, id, from, text));
        }
    }

    /// Charges one request. Panics if the client exceeds the rate limit.
    fn charge_request(&mut self, now: Duration) {
        let (Some((per_second, burst)), Some(client)) = (self.rate_limit, &mut self.client) else { return };
        let passed = now.saturating_sub(client.counted_at).as_secs_f64();
        client.tokens = f64::from(burst).min(client.tokens + passed * f64::from(per_second)) - 1.0;
        client.counted_at = now;
        assert!(client.tokens > -1e-6, "flood");
    }
}

fn message(room: &str, id: u64, from: &str, text: &str) -> ChatEvent<'static> {
    let (room, from, text) = (room.to_owned().into(), from.to_owned().into(), text.to_owned().into());
    ChatEvent::Message { room, id, from, text, action: false, at: "".into() }
}

/// Returns an error that answers no request.
pub(super) fn error(code: &str, room: Option<&str>, first: Option<u64>, count: Option<u64>) -> ChatEvent<'static> {
    let (code, room) = (code.to_owned().into(), room.map(|room| room.to_owned().into()));
    ChatEvent::Error { code, text: "no".into(), room, first, count, last: None, offer: None, label: None }
}
