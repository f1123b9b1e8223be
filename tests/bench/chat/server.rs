//! A chat server on the library's own engine, as small as one can be, that is at fault when it is told to be.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, from_slice, to_vec};
use switchboard::services::chat::wire::ChatEvent;
use switchboard::{CloseReason, ConnId, Context, Endpoint, Framing, Handle, Limits, Peer, Reactor, Service};

/// What it does wrong, once.
#[allow(dead_code, reason = "each of the test programs has it commit some of them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// One member is not sent an id.
    Skip,
    /// One is sent an id twice.
    Duplicate,
    /// One is sent an id after the next.
    Swap,
    /// One is sent another text.
    Corrupt,
    /// One is sent the text in which one digit of the time is another.
    Retime,
    /// One is told that somebody else has said it.
    Impute,
    /// One is sent another room's message.
    Stray,
    /// One is sent something that is no event.
    Babble,
    /// One is sent nothing any more.
    Silence,
    /// One is broken off.
    Close,
    /// One is told goodbye, and broken off.
    Bye,
    /// An id is left out for all.
    Jump,
    /// What was said is said to nobody.
    Swallow,
    /// From then on, whatever is said is said to nobody.
    Hush,
    /// What was said is said under two ids.
    Repeat,
    /// Two messages of one publisher have their ids the wrong way round, for all.
    Reverse,
    /// A speaker is told that it says too much.
    Flood,
    /// One is not let in.
    Taken,
    /// One never hears that it is in its room.
    Mute,
    /// It does nothing at all for a while, which is no fault.
    Stall,
}

/// The message at which the fault is committed, of each server's.
const AT: u64 = 9;

/// What it did.
#[allow(dead_code, reason = "not every test program looks at all of it")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deed {
    pub(crate) member: usize,
    pub(crate) room: String,
    pub(crate) id: u64,
}

/// A server that runs, and ends with the test.
pub(crate) struct Server {
    pub(crate) target: Endpoint,
    deed: Arc<Mutex<Option<Deed>>>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(fault: Fault) -> Self {
        let deed = Arc::new(Mutex::new(None));
        let mut reactor = Reactor::new(Limits::default()).unwrap();
        let chat = reactor.add_service("chat", Chat::new(fault, Arc::clone(&deed)));
        let target = reactor.listen(chat, &"127.0.0.1:0".parse().unwrap(), Framing::U32BE).unwrap();
        let handle = reactor.handle();
        let thread = thread::spawn(move || {
            reactor.run().unwrap();
        });
        Self { target, deed, handle, thread: Some(thread) }
    }

    /// What it did wrong, if it has.
    #[allow(dead_code, reason = "not every test program asks")]
    pub(crate) fn deed(&self) -> Option<Deed> {
        self.deed.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.stop();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Chat {
    fault: Fault,
    deed: Arc<Mutex<Option<Deed>>>,
    nicks: HashMap<ConnId, String>,
    rooms: BTreeMap<String, Room>,
    said: u64,
    /// Held back for one, or what was said and has no id yet.
    held: Option<(ConnId, Vec<u8>)>,
    /// Who is sent nothing any more.
    silent: Option<ConnId>,
}

#[derive(Default)]
struct Room {
    last_id: u64,
    members: Vec<ConnId>,
}

impl Chat {
    fn new(fault: Fault, deed: Arc<Mutex<Option<Deed>>>) -> Self {
        let (nicks, rooms) = (HashMap::new(), BTreeMap::new());
        Self { fault, deed, nicks, rooms, said: 0, held: None, silent: None }
    }

    fn commit(&mut self, who: ConnId, room: &str, id: u64) {
        let nick = self.nicks.get(&who).cloned().unwrap_or_default();
        let member = nick.rsplit('-').next().unwrap().parse().unwrap();
        *self.deed.lock().unwrap() = Some(Deed { member, room: room.to_owned(), id });
    }

    fn is_committed(&self) -> bool {
        self.deed.lock().unwrap().is_some()
    }

    /// Whether this is the second member, and the fault is one of getting in.
    fn is_kept_out(&self, who: ConnId, fault: Fault) -> bool {
        self.fault == fault && self.nicks.get(&who).is_some_and(|nick| nick.ends_with("-1"))
    }

    fn say(&mut self, cx: &mut Context<'_>, name: &str, text: &str) {
        self.said += 1;
        let now = self.said >= AT && !self.is_committed();
        let speaker = cx.conn();
        let Some(room) = self.rooms.get_mut(name) else { return };
        let victim = *room.members.last().unwrap();
        match self.fault {
            Fault::Swallow if now => return self.commit(speaker, name, 0),
            Fault::Hush if self.said >= AT => return self.commit(speaker, name, 0),
            Fault::Flood if now => {
                cx.reply(&error("flood", "that was too much"));
                return self.commit(speaker, name, 0);
            }
            // Only of one publisher's: nobody says in which order those of two are to come.
            Fault::Reverse if now && self.held.is_none() => {
                self.held = Some((speaker, text.as_bytes().to_vec()));
                return;
            }
            Fault::Stall if now => {
                thread::sleep(Duration::from_millis(400));
                self.commit(victim, name, 0);
            }
            Fault::Jump if now => {
                room.last_id += 1;
                let skipped = room.last_id;
                self.commit(victim, name, skipped);
            }
            _ => {}
        }
        self.deliver(cx, speaker, name, text, now);
        match self.fault {
            Fault::Repeat if now => self.deliver(cx, speaker, name, text, false),
            Fault::Reverse => {
                if let Some((_, held)) = self.held.take_if(|(held_of, _)| *held_of == speaker) {
                    self.deliver(cx, speaker, name, std::str::from_utf8(&held).unwrap(), false);
                    self.commit(speaker, name, 0);
                }
            }
            _ => {}
        }
    }

    fn deliver(&mut self, cx: &mut Context<'_>, speaker: ConnId, name: &str, text: &str, now: bool) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.last_id += 1;
        let (id, from) = (room.last_id, self.nicks[&speaker].clone());
        let message = |room: &str, text: &str| {
            let at = Cow::Borrowed("2026-01-02T03:04:05.678Z");
            to_vec(&ChatEvent::Message { room: room.into(), id, from: from.as_str().into(), text: text.into(), at })
                .unwrap()
        };
        let payload = message(name, text);
        let victim = *room.members.last().unwrap();
        let others: Vec<_> = room.members.iter().copied().filter(|member| *member != victim).collect();
        cx.broadcast(&others, payload.clone());
        if self.silent == Some(victim) {
            return;
        }
        let (held_of, held) = self.held.take_if(|_| self.fault == Fault::Swap).unzip();
        if !now || matches!(self.fault, Fault::Jump | Fault::Stall) {
            cx.send(victim, payload);
            if let (Some(held_of), Some(held)) = (held_of, held) {
                cx.send(held_of, held);
            }
            return;
        }
        match self.fault {
            Fault::Skip => {}
            Fault::Duplicate => {
                cx.send(victim, payload.clone());
                cx.send(victim, payload);
            }
            Fault::Swap => self.held = Some((victim, payload)),
            Fault::Corrupt => cx.send(victim, message(name, &changed(text, text.len() - 1))),
            Fault::Retime => cx.send(victim, message(name, &changed(text, 15))),
            Fault::Impute => {
                let to = self.nicks[&victim].clone();
                cx.send(victim, String::from_utf8(payload).unwrap().replace(&from, &to).into_bytes());
            }
            Fault::Stray => {
                cx.send(victim, payload);
                cx.send(victim, message("bench-0", text));
            }
            Fault::Babble => {
                cx.send(victim, payload);
                cx.send(victim, b"{\"type\":".to_vec());
            }
            Fault::Silence => self.silent = Some(victim),
            Fault::Close => cx.close_other(victim, "a test wants it"),
            Fault::Bye => {
                cx.send(victim, payload);
                cx.send(victim, to_vec(&ChatEvent::Bye { reason: "you are too slow".into() }).unwrap());
                cx.close_other(victim, "a test wants it");
            }
            // The speaker is at fault, so to say.
            Fault::Repeat => {
                cx.send(victim, payload);
                return self.commit(speaker, name, id);
            }
            _ => return cx.send(victim, payload),
        }
        self.commit(victim, name, id);
    }

    fn leave(&mut self, who: ConnId, room: &str) {
        if let Some(room) = self.rooms.get_mut(room) {
            room.members.retain(|member| *member != who);
        }
    }
}

impl Service for Chat {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.rooms.entry("lobby".to_owned()).or_default().members.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let request: Value = from_slice(payload).unwrap();
        let (who, word) = (cx.conn(), |key: &str| request[key].as_str().unwrap());
        match word("type") {
            "hello" => {
                self.nicks.insert(who, word("nick").to_owned());
                if self.is_kept_out(who, Fault::Taken) {
                    self.commit(who, "lobby", 0);
                    return cx.reply(&error("nick-taken", "somebody else is called so"));
                }
                let welcome = ChatEvent::Welcome {
                    server: None,
                    nick: word("nick").into(),
                    rooms: vec!["lobby".into()],
                    messages_per_second: None,
                    burst: None,
                };
                cx.reply(&to_vec(&welcome).unwrap());
            }
            "join" => {
                let room = self.rooms.entry(word("room").to_owned()).or_default();
                if !room.members.contains(&who) {
                    room.members.push(who);
                }
                let nick = self.nicks[&who].as_str();
                let joined = to_vec(&ChatEvent::Joined { room: word("room").into(), nick: nick.into() }).unwrap();
                let others: Vec<_> = room.members.iter().copied().filter(|member| *member != who).collect();
                cx.broadcast(&others, joined.clone());
                if self.is_kept_out(who, Fault::Mute) {
                    return self.commit(who, "lobby", 0);
                }
                cx.reply(&joined);
            }
            "leave" => {
                self.leave(who, word("room"));
                let nick = self.nicks[&who].as_str();
                cx.reply(&to_vec(&ChatEvent::Left { room: word("room").into(), nick: nick.into() }).unwrap());
            }
            "say" => self.say(cx, word("room"), word("text")),
            other => panic!("{other}"),
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.leave(cx.conn(), &room);
        }
        self.nicks.remove(&cx.conn());
    }
}

fn error(code: &str, text: &str) -> Vec<u8> {
    let (room, first, count, offer, label) = (None, None, None, None, None);
    to_vec(&ChatEvent::Error { code: code.into(), text: text.into(), room, first, count, offer, label }).unwrap()
}

/// The text with another character at `at`.
fn changed(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).unwrap()
}
