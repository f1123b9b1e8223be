//! A minimal chat server on the library's own engine. It commits one chosen fault on purpose.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, from_slice, to_vec};
use switchboard::services::chat::wire::ChatEvent;
use switchboard::{CloseReason, ConnId, Context, Endpoint, Framing, Handle, Limits, Peer, Reactor, Service};

/// The fault that the server commits, once unless noted. "One member" is the room's last.
#[allow(dead_code, reason = "each test program uses some of them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// One member does not receive an id.
    Skip,
    /// One member receives an id twice.
    Duplicate,
    /// One member receives an id after the next one.
    Swap,
    /// One member receives another text.
    Corrupt,
    /// One member receives a text with one digit of its due time changed.
    CorruptStamp,
    /// One member receives a message with another sender.
    WrongSender,
    /// One member receives a message of another room.
    Stray,
    /// One member receives a frame that is not an event.
    InvalidEvent,
    /// One member receives no further message.
    StopSending,
    /// The server closes one member's connection.
    Close,
    /// One member receives `bye`, and the server closes its connection.
    Bye,
    /// The room skips an id.
    SkipId,
    /// No member receives a message.
    Swallow,
    /// From then on, no member receives any message.
    SwallowAll,
    /// All members receive a message with two ids.
    Repeat,
    /// Two messages of one publisher have each other's ids.
    Reverse,
    /// A publisher receives the error `flood`, and its message is dropped.
    Flood,
    /// The second member receives the error `nick-taken`.
    NickTaken,
    /// The second member receives no `joined` event.
    NoJoined,
    /// The server does nothing until its stall function returns. This must not count as a fault.
    Stall,
}

/// The number of the message, among those of the server, at which it commits the fault. Every
/// closed loop with four messages in flight sends two more.
const FAULTY_MESSAGE: u64 = 2;

/// The fault that the server has committed.
#[allow(dead_code, reason = "not every test program reads every field")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedFault {
    pub(crate) member: usize,
    pub(crate) room: String,
    pub(crate) id: u64,
}

/// A running server, which stops when dropped.
pub(crate) struct Server {
    pub(crate) target: Endpoint,
    committed: Arc<Mutex<Option<CommittedFault>>>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(fault: Fault) -> Self {
        Self::start_with(fault, || ())
    }

    /// Starts a server that calls `stall` at [`Fault::Stall`].
    pub(crate) fn start_with(fault: Fault, stall: impl Fn() + Send + 'static) -> Self {
        let committed = Arc::new(Mutex::new(None));
        let mut reactor = Reactor::new(Limits::default()).unwrap();
        let chat = reactor.add_service("chat", Chat::new(fault, Box::new(stall), Arc::clone(&committed)));
        let target = reactor.listen(chat, &"127.0.0.1:0".parse().unwrap(), Framing::U32BE).unwrap();
        let handle = reactor.handle();
        let thread = thread::spawn(move || {
            reactor.run().unwrap();
        });
        Self { target, committed, handle, thread: Some(thread) }
    }

    /// Returns the committed fault; `None` before it.
    #[allow(dead_code, reason = "not every test program calls it")]
    pub(crate) fn committed(&self) -> Option<CommittedFault> {
        self.committed.lock().unwrap().clone()
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
    stall: Box<dyn Fn() + Send>,
    committed: Arc<Mutex<Option<CommittedFault>>>,
    nicks: HashMap<ConnId, String>,
    rooms: BTreeMap<String, Room>,
    messages: u64,
    /// A delayed delivery with its receiver, or a text without an id with its publisher.
    held: Option<(ConnId, Vec<u8>)>,
    /// The member that receives no further message.
    muted: Option<ConnId>,
}

#[derive(Default)]
struct Room {
    last_id: u64,
    members: Vec<ConnId>,
}

impl Chat {
    fn new(fault: Fault, stall: Box<dyn Fn() + Send>, committed: Arc<Mutex<Option<CommittedFault>>>) -> Self {
        let (nicks, rooms) = (HashMap::new(), BTreeMap::new());
        Self { fault, stall, committed, nicks, rooms, messages: 0, held: None, muted: None }
    }

    fn commit(&mut self, conn: ConnId, room: &str, id: u64) {
        let nick = self.nicks.get(&conn).cloned().unwrap_or_default();
        let member = nick.rsplit('-').next().unwrap().parse().unwrap();
        *self.committed.lock().unwrap() = Some(CommittedFault { member, room: room.to_owned(), id });
    }

    fn has_committed(&self) -> bool {
        self.committed.lock().unwrap().is_some()
    }

    /// Returns true if the fault concerns the join of this connection, the second member.
    fn is_join_faulty(&self, conn: ConnId, fault: Fault) -> bool {
        self.fault == fault && self.nicks.get(&conn).is_some_and(|nick| nick.ends_with("-1"))
    }

    fn publish(&mut self, cx: &mut Context<'_>, name: &str, text: &str) {
        self.messages += 1;
        let now = self.messages >= FAULTY_MESSAGE && !self.has_committed();
        let publisher = cx.conn();
        let Some(room) = self.rooms.get_mut(name) else { return };
        let receiver = *room.members.last().unwrap();
        match self.fault {
            Fault::Swallow if now => return self.commit(publisher, name, 0),
            Fault::SwallowAll if self.messages >= FAULTY_MESSAGE => return self.commit(publisher, name, 0),
            Fault::Flood if now => {
                cx.reply(&error("flood", "that was too much"));
                return self.commit(publisher, name, 0);
            }
            // Only messages of one publisher: those of two publishers have no required order.
            Fault::Reverse if now && self.held.is_none() => {
                self.held = Some((publisher, text.as_bytes().to_vec()));
                return;
            }
            Fault::Stall if now => {
                (self.stall)();
                self.commit(receiver, name, 0);
            }
            Fault::SkipId if now => {
                room.last_id += 1;
                let skipped = room.last_id;
                self.commit(receiver, name, skipped);
            }
            _ => {}
        }
        self.deliver(cx, publisher, name, text, now);
        match self.fault {
            Fault::Repeat if now => self.deliver(cx, publisher, name, text, false),
            Fault::Reverse => {
                if let Some((_, held)) = self.held.take_if(|(held_of, _)| *held_of == publisher) {
                    self.deliver(cx, publisher, name, std::str::from_utf8(&held).unwrap(), false);
                    self.commit(publisher, name, 0);
                }
            }
            _ => {}
        }
    }

    fn deliver(&mut self, cx: &mut Context<'_>, publisher: ConnId, name: &str, text: &str, now: bool) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.last_id += 1;
        let (id, from) = (room.last_id, self.nicks[&publisher].clone());
        let message = |room: &str, text: &str| {
            let at = Cow::Borrowed("2026-01-02T03:04:05.678Z");
            let (room, from, text) = (room.into(), from.as_str().into(), text.into());
            to_vec(&ChatEvent::Message { room, id, from, text, action: false, at }).unwrap()
        };
        let payload = message(name, text);
        let receiver = *room.members.last().unwrap();
        let others: Vec<_> = room.members.iter().copied().filter(|member| *member != receiver).collect();
        cx.broadcast(&others, payload.clone());
        if self.muted == Some(receiver) {
            return;
        }
        let (held_of, held) = self.held.take_if(|_| self.fault == Fault::Swap).unzip();
        if !now || matches!(self.fault, Fault::SkipId | Fault::Stall) {
            cx.send(receiver, payload);
            if let (Some(held_of), Some(held)) = (held_of, held) {
                cx.send(held_of, held);
            }
            return;
        }
        match self.fault {
            Fault::Skip => {}
            Fault::Duplicate => {
                cx.send(receiver, payload.clone());
                cx.send(receiver, payload);
            }
            Fault::Swap => self.held = Some((receiver, payload)),
            Fault::Corrupt => cx.send(receiver, message(name, &changed(text, text.len() - 1))),
            Fault::CorruptStamp => cx.send(receiver, message(name, &changed(text, 15))),
            Fault::WrongSender => {
                let to = self.nicks[&receiver].clone();
                cx.send(receiver, String::from_utf8(payload).unwrap().replace(&from, &to).into_bytes());
            }
            Fault::Stray => {
                cx.send(receiver, payload);
                cx.send(receiver, message("bench-0", text));
            }
            Fault::InvalidEvent => {
                cx.send(receiver, payload);
                cx.send(receiver, b"{\"type\":".to_vec());
            }
            Fault::StopSending => self.muted = Some(receiver),
            Fault::Close => cx.close_other(receiver, "a test wants it"),
            Fault::Bye => {
                cx.send(receiver, payload);
                cx.send(receiver, to_vec(&ChatEvent::Bye { reason: "you are too slow".into() }).unwrap());
                cx.close_other(receiver, "a test wants it");
            }
            // The violation is reported for the publisher, not for the receiver.
            Fault::Repeat => {
                cx.send(receiver, payload);
                return self.commit(publisher, name, id);
            }
            _ => return cx.send(receiver, payload),
        }
        self.commit(receiver, name, id);
    }

    fn leave(&mut self, conn: ConnId, room: &str) {
        if let Some(room) = self.rooms.get_mut(room) {
            room.members.retain(|member| *member != conn);
        }
    }
}

impl Service for Chat {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.rooms.entry("lobby".to_owned()).or_default().members.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let request: Value = from_slice(payload).unwrap();
        let (conn, word) = (cx.conn(), |key: &str| request[key].as_str().unwrap());
        match word("type") {
            "hello" => {
                self.nicks.insert(conn, word("nick").to_owned());
                if self.is_join_faulty(conn, Fault::NickTaken) {
                    self.commit(conn, "lobby", 0);
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
                if !room.members.contains(&conn) {
                    room.members.push(conn);
                }
                let nick = self.nicks[&conn].as_str();
                let joined = to_vec(&ChatEvent::Joined { room: word("room").into(), nick: nick.into() }).unwrap();
                let others: Vec<_> = room.members.iter().copied().filter(|member| *member != conn).collect();
                cx.broadcast(&others, joined.clone());
                if self.is_join_faulty(conn, Fault::NoJoined) {
                    return self.commit(conn, "lobby", 0);
                }
                cx.reply(&joined);
            }
            "leave" => {
                self.leave(conn, word("room"));
                let nick = self.nicks[&conn].as_str();
                cx.reply(&to_vec(&ChatEvent::Left { room: word("room").into(), nick: nick.into() }).unwrap());
            }
            "say" => self.publish(cx, word("room"), word("text")),
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
    to_vec(&ChatEvent::Error { code: code.into(), text: text.into(), room, first, count, last: None, offer, label })
        .unwrap()
}

/// Returns the text with another character at `at`.
fn changed(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).unwrap()
}
