//! Who is told of comings and goings: in small rooms everybody, in large ones only whom it concerns.

use super::members::MemberId;
use super::rooms::RoomId;
use super::{Hub, Outlet, batch};
use crate::service::{BatchId, ConnId};
use crate::services::chat::ask::Refusal;
use crate::services::chat::dialect::{self, Dialect};
use crate::services::chat::wire::Event;

impl Hub {
    /// Tells the others of a member that says its first word.
    pub(super) fn introduce(&mut self, id: MemberId, out: &mut dyn Outlet) {
        let Some(member) = self.members.get_mut(id).filter(|member| !member.announced) else { return };
        member.announced = true;
        let nick = member.nick.clone();
        for room in member.rooms() {
            if self.is_small(room) {
                let name = self.name_of(room);
                self.announce(room, &Event::Joined { room: (&*name).into(), nick: (&*nick).into() }, out);
            }
        }
    }

    pub(super) fn is_small(&self, room: RoomId) -> bool {
        self.rooms.get(room).is_some_and(|room| room.count() <= self.rules.announce_up_to)
    }

    /// Tells everybody in a room, and the operator, something that has no id.
    pub(super) fn announce(&mut self, room: RoomId, event: &Event<'_>, out: &mut dyn Outlet) {
        self.flush_room(room, out);
        let Some(room) = self.rooms.get(room) else { return };
        for dialect in [Dialect::Json, Dialect::Lines, Dialect::Raw] {
            self.announce_to(&room.hearing(dialect), dialect, event, out);
        }
        self.show(event, out);
    }

    pub(super) fn name_of(&self, room: RoomId) -> Box<str> {
        self.rooms.get(room).map_or_else(|| "".into(), |room| room.name.clone())
    }

    fn announce_to(&self, rows: &[&[ConnId]], dialect: Dialect, event: &Event<'_>, out: &mut dyn Outlet) {
        if rows.iter().all(|row| row.is_empty()) {
            return;
        }
        let mut payloads = Vec::new();
        dialect::tell(dialect, event, self.rules.encoding, &mut payloads);
        for row in rows {
            batch(row, &payloads, BatchId::NONE, out);
        }
    }

    /// Gives a member another nick, and tells those who know it by the old one, which is returned.
    pub(super) fn rename(&mut self, id: MemberId, nick: &str, out: &mut dyn Outlet) -> Result<Box<str>, Refusal> {
        let was = self.members.rename(id, nick)?;
        let Some(member) = self.members.get(id).filter(|member| member.announced && *was != *nick) else {
            return Ok(was);
        };
        let rooms: Vec<_> = member.rooms().into_iter().filter(|room| self.is_small(*room)).collect();
        let event = Event::Renamed { was: (&*was).into(), nick: nick.into() };
        for room in &rooms {
            self.flush_room(*room, out);
        }
        let own = self.members.get(id).and_then(|member| Some(member.conn()?.0));
        for dialect in [Dialect::Json, Dialect::Lines, Dialect::Raw] {
            let rooms = rooms.iter().filter_map(|room| self.rooms.get(*room));
            let rows = rooms.flat_map(|room| room.hearing(dialect));
            let mut conns: Vec<_> = rows.flatten().copied().filter(|conn| Some(*conn) != own).collect();
            // Who shares several rooms with it is told once.
            conns.sort_unstable();
            conns.dedup();
            self.announce_to(&[&conns], dialect, &event, out);
        }
        self.show(&event, out);
        Ok(was)
    }
}
