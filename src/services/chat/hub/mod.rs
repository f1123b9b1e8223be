//! The hub: who is there, what is said, and who hears it. Pure: it knows no socket, no clock and no engine; what happens comes in
//! with the time at which it did, and what it causes goes out through an [`Outlet`].
//!
//! Here is how members come and go. [`requests`] is what they ask for, [`speech`] how words reach a room, [`presence`] who is told of
//! comings and goings, [`catch_up`] how somebody who was away gets what it missed, [`datagrams`] the members without a
//! connection, [`operator`] the console,
//! [`admission`] who is let in. [`members`], [`arrears`], [`rooms`] and [`history`] are what is remembered.
//!
//! Invariants: a member sits in a room at the place that its seat says; the ids of a room's messages are consecutive; what a room has
//! said and not sent yet is sent before anybody enters or leaves.

mod admission;
mod arrears;
mod catch_up;
mod datagrams;
mod history;
mod members;
mod operator;
mod outlet;
mod presence;
mod requests;
mod rooms;
mod speech;
#[cfg(test)]
pub(super) mod tests;

pub(super) use outlet::{Outlet, When};

use std::collections::HashSet;
use std::net::IpAddr;

use encoding_rs::UTF_8;

use super::ask::{Ask, Refusal};
use super::bucket::Bucket;
use super::colour::Palette;
use super::dialect::{self, Dialect, Heard};
use super::rules::Rules;
use super::wire::Event;
use crate::frame::Payload;
use crate::service::CloseReason;
use crate::service::{BatchId, ConnId};
use arrears::Missed;
use members::{Member, MemberId, Members, Reach, Seat};
use operator::Console;
use rooms::{RoomId, Rooms};
use speech::{BatchLabel, WHISPER};

/// The whole chat.
pub(super) struct Hub {
    rules: Rules,
    members: Members,
    rooms: Rooms,
    /// Rooms in which something was said this turn.
    speaking: Vec<RoomId>,
    consoles: Vec<Console>,
    palette: Palette,
    /// In canonical form, as everywhere here: a socket of both families tells an IPv4 address as one of IPv6.
    bans: HashSet<IpAddr>,
    /// How many datagrams of those who are no members are answered.
    strangers: Bucket,
    counts: Counts,
    /// The expiry of silent UDP members has been asked for.
    expiry_asked: bool,
}

/// What has happened so far.
#[derive(Default)]
struct Counts {
    messages: u64,
    deliveries: u64,
    refused: u64,
    flooded: u64,
}

impl Hub {
    pub(super) fn new(rules: Rules, palette: Palette) -> Self {
        // A bucket that holds nothing would let nobody say a word.
        let rules = Rules { burst: rules.burst.max(1), ..rules };
        Self {
            members: Members::default(),
            rooms: Rooms::new(&rules),
            speaking: Vec::new(),
            consoles: Vec::new(),
            palette,
            bans: HashSet::new(),
            strangers: Bucket::default(),
            counts: Counts::default(),
            expiry_asked: false,
            rules,
        }
    }

    /// Somebody has connected: a guest in the lobby from now on.
    pub(super) fn open(&mut self, conn: ConnId, dialect: Dialect, address: Option<IpAddr>, out: &mut dyn Outlet) {
        let address = address.map(admission::network);
        if let Err(refusal) = self.admit(address) {
            self.counts.refused += 1;
            self.tell_stranger(conn, dialect, &refusal.event(None), out);
            self.tell_stranger(conn, dialect, &Event::Bye { reason: refusal.text.as_str().into() }, out);
            out.close(conn, refusal.text.into());
            return;
        }
        let id = self.members.enter(conn, dialect, address);
        self.sit_down(id, Rooms::LOBBY, out);
        if dialect != Dialect::Json {
            self.welcome(id, out);
        }
    }

    /// A frame has come.
    pub(super) fn hear(&mut self, conn: ConnId, frame: &[u8], when: When, out: &mut dyn Outlet) {
        if self.consoles.iter().any(|console| console.conn == conn) {
            self.hear_operator(conn, frame, when, out);
            return;
        }
        let Some(id) = self.members.by_conn(conn) else { return };
        let Some((_, dialect)) = self.members.get(id).and_then(Member::conn) else { return };
        if dialect == Dialect::Raw && frame.starts_with(b"/") {
            // In one read there may be several lines. Behind a command they are not its text.
            for line in frame.split(|byte| *byte == b'\n') {
                self.heed(id, dialect, line, when, out);
            }
        } else {
            self.heed(id, dialect, frame, when, out);
        }
    }

    /// Does what a frame asks for.
    fn heed(&mut self, id: MemberId, dialect: Dialect, frame: &[u8], when: When, out: &mut dyn Outlet) {
        let Rules { messages_per_second, burst, encoding, .. } = self.rules;
        // Whoever is hung up on is not heard any more.
        let Some(member) = self.members.get_mut(id).filter(|member| !member.ending) else { return };
        if !member.bucket.take(when.now, messages_per_second, burst) {
            self.end_flood(id, out);
            return;
        }
        if dialect != Dialect::Json && !member.announced && dialect::claims_to_be_http(frame) {
            self.end(id, "this is a chat server, and that was an HTTP request", out);
            return;
        }
        let is_text = dialect != Dialect::Json && encoding == UTF_8;
        let text = if is_text { dialect::without_negotiation(frame) } else { frame.into() };
        let Some(Heard { ask, label }) = dialect::hear(dialect, &text, encoding) else { return };
        // What was said before the answer comes before it. Only words may wait for more words.
        if !matches!(ask, Ok(Ask::Say { .. })) {
            self.flush_around(id, out);
        }
        let echoed = label.clone();
        if let Err(refusal) = ask.and_then(|ask| self.obey(id, ask, label, when, out)) {
            self.tell(id, &refusal.event(echoed), out);
        }
    }

    /// Says why, and ends somebody's connection.
    fn end(&mut self, id: MemberId, why: &str, out: &mut dyn Outlet) {
        self.flush_around(id, out);
        self.tell(id, &Event::Bye { reason: why.into() }, out);
        let member = self.members.get_mut(id).map(|member| {
            member.ending = true;
            member.reach
        });
        match member {
            // What is left to do for it is done when the engine says that it is closed.
            Some(Reach::Conn { id: conn, .. }) => out.close(conn, why.to_owned().into()),
            Some(Reach::Source { .. }) => self.depart(id, true, out),
            None => {}
        }
    }

    fn end_flood(&mut self, id: MemberId, out: &mut dyn Outlet) {
        self.counts.flooded += 1;
        // What it has said has been said, and it hears that before its end.
        self.flush_around(id, out);
        let Rules { messages_per_second, burst, .. } = self.rules;
        let text = format!("more than {messages_per_second} messages a second, after {burst} at once");
        self.tell(id, &Refusal::new("flood", text).event(None), out);
        self.end(id, "flood", out);
    }

    /// A connection is at its end.
    pub(super) fn close(&mut self, conn: ConnId, reason: &CloseReason, out: &mut dyn Outlet) {
        if let Some(at) = self.consoles.iter().position(|console| console.conn == conn) {
            self.consoles.swap_remove(at);
            if *reason != CloseReason::ShuttingDown {
                log::info!("the console is closed ({reason}); the server goes on until SIGTERM stops it");
            }
        }
        let Some(id) = self.members.by_conn(conn) else { return };
        match reason {
            CloseReason::SlowConsumer { .. } => self.log_slow(id, reason),
            // These have been told already, or are not there any more.
            CloseReason::Service(_) | CloseReason::PeerClosed | CloseReason::PeerReset(_) => {}
            _ => self.tell(id, &Event::Bye { reason: reason.to_string().into() }, out),
        }
        // When everybody goes, nobody is left to be told.
        self.depart(id, *reason != CloseReason::ShuttingDown, out);
    }

    fn log_slow(&self, id: MemberId, reason: &CloseReason) {
        let Some(member) = self.members.get(id) else { return };
        log::warn!("{} is disconnected, {reason}; it sat in {}", member.nick, self.rooms_of(member).join(", "));
    }

    /// Somebody has gone: from its rooms, and from memory.
    fn depart(&mut self, id: MemberId, announce: bool, out: &mut dyn Outlet) {
        for room in self.members.get(id).map(Member::rooms).unwrap_or_default() {
            self.stand_up(id, room, announce, out);
        }
        self.members.leave(id);
    }

    /// Gives a member a seat in a room, live from the next message on.
    fn sit_down(&mut self, id: MemberId, room: RoomId, out: &mut dyn Outlet) {
        self.flush_room(room, out);
        let (Some(member), Some(there)) = (self.members.get_mut(id), self.rooms.get_mut(room)) else { return };
        let place = there.enter(member.reach, id, false);
        let first = there.history.last_id() + 1;
        // Most sit in one or two rooms for as long as they are there.
        member.seats.reserve_exact(1);
        member.seats.push(Seat { room, place, first, catching_up: false });
        member.current = Some(room);
        self.rooms.note_population(room);
    }

    /// Takes a member's seat in a room away.
    fn stand_up(&mut self, id: MemberId, room: RoomId, announce: bool, out: &mut dyn Outlet) {
        self.flush_room(room, out);
        let (Some(member), Some(there)) = (self.members.get_mut(id), self.rooms.get_mut(room)) else { return };
        let Some(at) = member.seats.iter().position(|seat| seat.room == room) else { return };
        let seat = member.seats.swap_remove(at);
        if member.current == Some(room) {
            member.current = member.seats.last().map(|seat| seat.room);
        }
        let before = there.count();
        let moved = there.leave(member.reach, seat.place, seat.catching_up);
        let told = member.announced && announce;
        let nick = member.nick.clone();
        self.members.arrears.forget_room(id, room);
        self.reseat(moved, room, seat.place);
        if told && before <= self.rules.announce_up_to {
            let name = self.name_of(room);
            self.announce(room, &Event::Left { room: (&*name).into(), nick: (&*nick).into() }, out);
        }
        self.rooms.note_population(room);
    }

    /// Notes that somebody has taken the place of one who left.
    fn reseat(&mut self, moved: Option<MemberId>, room: RoomId, place: u32) {
        if let Some(seat) = moved.and_then(|moved| self.members.get_mut(moved)?.seat_mut(room)) {
            seat.place = place;
        }
    }

    /// Tells one member something.
    fn tell(&self, id: MemberId, event: &Event<'_>, out: &mut dyn Outlet) {
        if let Some(member) = self.members.get(id)
            && let Some((conn, dialect)) = member.conn()
        {
            self.tell_stranger(conn, dialect, event, out);
        }
    }

    fn tell_stranger(&self, conn: ConnId, dialect: Dialect, event: &Event<'_>, out: &mut dyn Outlet) {
        let mut payloads = Vec::new();
        dialect::tell(dialect, event, self.rules.encoding, &mut payloads);
        for payload in payloads {
            out.send(conn, payload);
        }
    }

    /// A batch of messages did not fit into what may wait for a connection.
    pub(super) fn dropped(&mut self, conn: ConnId, ticket: BatchId, frames: u32, out: &mut dyn Outlet) {
        let Some(id) = self.members.by_conn(conn) else { return };
        let Some(member) = self.members.get(id) else { return };
        let missed = match BatchLabel::from(ticket) {
            _ if [BatchId::NONE, WHISPER].contains(&ticket) => {
                Missed { room: None, first: 0, count: u64::from(frames) }
            }
            // Whoever has left a room meanwhile, even if it is back, does not miss what was said before.
            BatchLabel { room, first, .. } if member.seat(room).is_none_or(|seat| first < seat.first) => return,
            BatchLabel { room, first, count } => Missed { room: Some(room), first, count },
        };
        let nick = member.nick.clone();
        if self.members.arrears.note_missed(id, missed) {
            log::warn!("{nick} reads too slowly: messages for it are dropped");
        }
        out.watch_drain();
    }

    /// A connection has room for more.
    pub(super) fn drained(&mut self, conn: ConnId, out: &mut dyn Outlet) {
        let Some(id) = self.members.by_conn(conn) else { return };
        for missed in self.members.arrears.take_missed(id) {
            self.tell_missed(id, missed, out);
        }
        self.go_on_catching_up(id, out);
    }

    /// Tells a member of messages that it will not get by themselves.
    fn tell_missed(&self, id: MemberId, missed: Missed, out: &mut dyn Outlet) {
        let Missed { room, first, count } = missed;
        let room = room.and_then(|room| self.rooms.get(room)).map(|room| &*room.name);
        let text = match (room, count) {
            (Some(room), 1) => format!("1 message of {room} was missed, id {first}"),
            (Some(room), _) => format!("{count} messages of {room} were missed, from id {first} on"),
            // Whispers, or so many that the engine did not keep their names: the ids that come next tell where.
            (None, _) => format!("{count} more were missed"),
        };
        let event = Event::Error {
            code: "missed".into(),
            text: text.into(),
            room: room.map(Into::into),
            first: room.map(|_| first),
            count: Some(count),
            offer: None,
            label: None,
        };
        self.tell(id, &event, out);
    }

    fn rooms_of<'a>(&'a self, member: &Member) -> Vec<&'a str> {
        let rooms = member.seats.iter().filter_map(|seat| self.rooms.get(seat.room));
        rooms.map(|room| &*room.name).collect()
    }

    fn welcome(&self, id: MemberId, out: &mut dyn Outlet) {
        let Some(member) = self.members.get(id) else { return };
        let limited = self.rules.messages_per_second > 0;
        let event = Event::Welcome {
            nick: (&*member.nick).into(),
            rooms: self.rooms_of(member).into_iter().map(Into::into).collect(),
            messages_per_second: limited.then_some(self.rules.messages_per_second),
            burst: limited.then_some(self.rules.burst),
            server: (!self.rules.server.is_empty()).then_some((&*self.rules.server).into()),
        };
        self.tell(id, &event, out);
    }
}

/// Says the same payloads to a row of connections, if there is anybody.
fn batch(to: &[ConnId], payloads: &[Payload], ticket: BatchId, out: &mut dyn Outlet) {
    if !to.is_empty() && !payloads.is_empty() {
        out.batch(to, payloads, ticket);
    }
}
