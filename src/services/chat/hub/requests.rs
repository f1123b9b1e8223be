//! What members ask for.

use serde_json::Value;

use super::members::MemberId;
use super::rooms::{Room, RoomId, Rooms};
use super::speech::text_payloads;
use super::{Hub, Outlet, When};
use crate::frame::escape;
use crate::services::chat::ask::{Ask, Refusal};
use crate::services::chat::dialect::HELP;
use crate::services::chat::rules::{MAX_PINGS, ROOMS_PAGE, WHO_PAGE};
use crate::services::chat::wire::{Event, Listed};

/// In the number that says where `who` goes on, the hall stands above these bits.
const HALL_SHIFT: u32 = 32;

impl Hub {
    /// Does what a member asks for. Its first request is how the others learn that it is there, by the name that it takes.
    pub(super) fn obey(
        &mut self,
        id: MemberId,
        ask: Ask<'_>,
        label: Option<Value>,
        when: When,
        out: &mut dyn Outlet,
    ) -> Result<(), Refusal> {
        if !matches!(ask, Ask::Hello { .. } | Ask::Nick { .. } | Ask::Quit) {
            self.introduce(id, out);
        }
        match ask {
            Ask::Hello { nick } => {
                self.rename(id, &nick, out)?;
                self.welcome(id, out);
                self.introduce(id, out);
            }
            Ask::Nick { nick } => {
                let was = self.rename(id, &nick, out)?;
                self.tell(id, &Event::Renamed { was: (&*was).into(), nick }, out);
                self.introduce(id, out);
            }
            Ask::Join { room, since } => self.join(id, &room, since, out)?,
            Ask::Leave { room } => self.leave(id, room.as_deref(), out)?,
            Ask::Say { room, text } => self.say(id, room.as_deref(), &text, label, when, out)?,
            Ask::Whisper { to, text } => self.whisper(id, &to, &text, when, out)?,
            Ask::Who { room, next } => {
                let event = self.who(room.as_deref().map_or_else(|| self.current(id), |room| self.known(room))?, next);
                self.tell(id, &event, out);
            }
            Ask::Rooms { next } => self.tell(id, &self.list_rooms(next), out),
            // It is answered after all that was asked for before it.
            Ask::Ping if self.members.arrears.pings(id) >= MAX_PINGS => {
                return Err(Refusal::new(
                    "replaying",
                    format!("{MAX_PINGS} pings wait for the end of a replay already"),
                ));
            }
            Ask::Ping if self.members.arrears.hold_ping(id) => {}
            Ask::Ping => self.tell(id, &Event::Pong, out),
            Ask::Me => self.welcome(id, out),
            Ask::Help => self.tell_text(id, HELP, out),
            Ask::Quit => self.end(id, "quit", out),
            // No member's dialect has these.
            Ask::Operator(_) => {}
        }
        Ok(())
    }

    fn join(&mut self, id: MemberId, name: &str, since: Option<u64>, out: &mut dyn Outlet) -> Result<(), Refusal> {
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let seated = self.rooms.find(name).filter(|room| member.seat(*room).is_some());
        let room = match seated {
            Some(room) => room,
            None if member.seats.len() >= self.rules.max_rooms_per_member => {
                let text = format!("you are in {} rooms already: leave one first", member.seats.len());
                return Err(Refusal::new("too-many-rooms", text));
            }
            None => self.rooms.open(name)?,
        };
        let nick = member.nick.clone();
        let joined = Event::Joined { room: name.into(), nick: (&*nick).into() };
        if seated.is_none() {
            // The newcomer counts: a room that is no longer small with it says no more.
            let others = self.rooms.get(room).map_or(0, Room::count);
            if others < self.rules.announce_up_to {
                self.announce(room, &joined, out);
            }
            self.sit_down(id, room, out);
        } else if let Some(member) = self.members.get_mut(id) {
            member.current = Some(room);
        }
        self.tell(id, &joined, out);
        if let Some(since) = since {
            self.replay(id, room, since, out)?;
        }
        Ok(())
    }

    fn leave(&mut self, id: MemberId, name: Option<&str>, out: &mut dyn Outlet) -> Result<(), Refusal> {
        let room = self.room_of(id, name)?;
        let name = self.name_of(room);
        let nick = self.members.get(id).map_or_else(|| "".into(), |member| member.nick.clone());
        self.stand_up(id, room, true, out);
        self.tell(id, &Event::Left { room: (&*name).into(), nick: (&*nick).into() }, out);
        self.answer_pings(id, out);
        Ok(())
    }

    /// The room that a member means, in which it has to be.
    pub(super) fn room_of(&self, id: MemberId, name: Option<&str>) -> Result<RoomId, Refusal> {
        let Some(name) = name else { return self.current(id) };
        let Some(member) = self.members.get(id) else { return Ok(Rooms::LOBBY) };
        let seated = self.rooms.find(name).filter(|room| member.seat(*room).is_some());
        seated
            .ok_or_else(|| Refusal::new("not-in-room", format!("you are not in {}: join it first", escape::line(name))))
    }

    fn current(&self, id: MemberId) -> Result<RoomId, Refusal> {
        let current = self.members.get(id).and_then(|member| member.current);
        current.ok_or_else(|| Refusal::new("not-in-room", "you are in no room: /join one first"))
    }

    pub(super) fn known(&self, name: &str) -> Result<RoomId, Refusal> {
        self.rooms
            .find(name)
            .ok_or_else(|| Refusal::new("no-such-room", format!("there is no room {}", escape::line(name))))
    }

    /// Who is in a room: a page of them, from the end of each hall down. Who enters meanwhile does so at the end that was told, and
    /// whoever takes the place of one who left was told from there; so nobody is left out who is there all the time.
    pub(super) fn who(&self, room: RoomId, next: Option<u64>) -> Event<'static> {
        let Some(room) = self.rooms.get(room) else {
            return Event::Who { room: "".into(), count: 0, nicks: Vec::new(), next: None };
        };
        let rows = room.rows();
        let last = (rows.len() as u64 - 1) << HALL_SHIFT | u64::from(u32::MAX);
        let from = next.unwrap_or(last).min(last);
        let part = |bits: u64| usize::try_from(bits).unwrap_or(usize::MAX);
        let (mut hall, mut end) = (part(from >> HALL_SHIFT), part(from & u64::from(u32::MAX)));
        let mut nicks = Vec::new();
        let next = loop {
            let row = rows.get(hall).copied().unwrap_or_default();
            end = end.min(row.len());
            while end > 0 && nicks.len() < WHO_PAGE {
                end -= 1;
                let member = row.get(end).and_then(|id| self.members.get(*id));
                nicks.extend(member.map(|member| member.nick.to_string().into()));
            }
            match (end, hall) {
                (1.., _) => break Some((hall as u64) << HALL_SHIFT | end as u64),
                (0, 0) => break None,
                (0, _) => (hall, end) = (hall - 1, usize::MAX),
            }
        };
        Event::Who { room: room.name.to_string().into(), count: room.count() as u64, nicks, next }
    }

    pub(super) fn list_rooms(&self, next: Option<u64>) -> Event<'_> {
        let mut inhabited = self.rooms.iter_from(next.unwrap_or(0)).filter(|(_, room)| room.count() > 0);
        let listed =
            |(_, room): (RoomId, &'_ Room)| Listed { room: room.name.to_string().into(), members: room.count() as u64 };
        let rooms = inhabited.by_ref().take(ROOMS_PAGE).map(listed).collect();
        Event::Rooms { rooms, next: inhabited.next().map(|(id, _)| id.0.into()) }
    }

    fn tell_text(&self, id: MemberId, text: &str, out: &mut dyn Outlet) {
        if let Some((conn, dialect)) = self.members.get(id).and_then(super::Member::conn) {
            for payload in text_payloads(dialect, text, self) {
                out.send(conn, payload);
            }
        }
    }
}
