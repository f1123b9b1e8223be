//! Requests of members.

use super::ids::{MemberId, RoomId};
use super::output::{EventTime, HubOutput};
use super::room::ChatRoom;
use super::state::Hub;
use crate::frame::escape;
use crate::frame::plural::counted;
use crate::services::chat::config::{MAX_DEFERRED_PINGS, MAX_NICKS_PER_REPLY, MAX_ROOMS_PER_REPLY};
use crate::services::chat::dialect::MEMBER_HELP;
use crate::services::chat::request::{ErrorReply, HubRequest};
use crate::services::chat::wire::{ChatEvent, RequestLabel, RoomListing};

/// In the `next` of a `who` page: the bits above hold the index of the audience, the bits below the
/// position in it.
const AUDIENCE_SHIFT: u32 = 32;

impl Hub {
    /// Executes a member's request. The first request announces the member to its rooms, under the
    /// nick that it takes.
    pub(super) fn handle_request(
        &mut self,
        id: MemberId,
        request: HubRequest<'_>,
        label: Option<RequestLabel>,
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        if !matches!(request, HubRequest::Hello { .. } | HubRequest::Nick { .. } | HubRequest::Quit) {
            self.announce_member(id, out);
        }
        match request {
            HubRequest::Hello { nick } => {
                self.rename(id, &nick, out)?;
                self.send_welcome(id, out);
                self.announce_member(id, out);
            }
            HubRequest::Nick { nick } => {
                let was = self.rename(id, &nick, out)?;
                self.send_event(id, &ChatEvent::Renamed { was: (&*was).into(), nick }, out);
                self.announce_member(id, out);
            }
            HubRequest::Join { room, since } => self.handle_join(id, &room, since, out)?,
            HubRequest::Leave { room } => self.handle_leave(id, room.as_deref(), out)?,
            HubRequest::Say { room, message } => self.handle_say(id, room.as_deref(), &message, label, time, out)?,
            HubRequest::Whisper { to, text } => self.handle_whisper(id, &to, &text, time, out)?,
            HubRequest::Who { room, next } => {
                let room = room.as_deref().map_or_else(|| self.current_room(id), |room| self.find_room(room))?;
                let event = self.who_page(room, next);
                self.send_event(id, &event, out);
            }
            HubRequest::Rooms { next } => self.send_event(id, &self.rooms_page(next), out),
            // A pong follows the replays that were requested before the ping.
            HubRequest::Ping if self.members.backlog.deferred_pings(id) >= MAX_DEFERRED_PINGS => {
                return Err(ErrorReply::new(
                    "replaying",
                    format!("{MAX_DEFERRED_PINGS} pings already wait for the end of a replay"),
                ));
            }
            HubRequest::Ping if self.members.backlog.defer_ping(id) => {}
            HubRequest::Ping => self.send_event(id, &ChatEvent::Pong, out),
            HubRequest::Me => self.send_welcome(id, out),
            HubRequest::Help => self.send_text(id, MEMBER_HELP, out),
            HubRequest::Quit => self.disconnect(id, "quit", out),
            // Unreachable: only `parse_operator_line` returns these.
            HubRequest::Operator(_) => {}
        }
        Ok(())
    }

    fn handle_join(
        &mut self,
        id: MemberId,
        name: &str,
        since: Option<u64>,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let joined_before = self.rooms.find(name).filter(|room| member.membership(*room).is_some());
        let room = match joined_before {
            Some(room) => room,
            None if member.memberships.len() >= self.config.max_rooms_per_member => {
                let rooms = counted(member.memberships.len() as u64, "room", "rooms");
                let text = format!("you are in {rooms} already: leave one first");
                return Err(ErrorReply::new("too-many-rooms", text));
            }
            None => self.rooms.find_or_create(name)?,
        };
        let nick = member.nick.clone();
        // The name as the room's first member has spelt it, which may differ in case.
        let name = self.room_name(room);
        let joined = ChatEvent::Joined { room: (&*name).into(), nick: (&*nick).into() };
        if joined_before.is_none() {
            // The limit counts the joining member, too.
            let others = self.rooms.get(room).map_or(0, ChatRoom::member_count);
            if others < self.config.max_announcing_room_members {
                self.announce(room, &joined, out);
            }
            self.join(id, room, out);
        } else if let Some(member) = self.members.get_mut(id) {
            member.current_room = Some(room);
        }
        self.send_event(id, &joined, out);
        if let Some(since) = since {
            self.start_replay(id, room, since, out)?;
        }
        Ok(())
    }

    fn handle_leave(&mut self, id: MemberId, name: Option<&str>, out: &mut dyn HubOutput) -> Result<(), ErrorReply> {
        let room = self.joined_room(id, name)?;
        let name = self.room_name(room);
        let nick = self.members.get(id).map_or_else(|| "".into(), |member| member.nick.clone());
        self.leave(id, room, true, out);
        self.send_event(id, &ChatEvent::Left { room: (&*name).into(), nick: (&*nick).into() }, out);
        self.send_deferred_pongs(id, out);
        Ok(())
    }

    /// Returns the room of a request: the named one, which the member must be in, or the current
    /// one.
    pub(super) fn joined_room(&self, id: MemberId, name: Option<&str>) -> Result<RoomId, ErrorReply> {
        let Some(name) = name else { return self.current_room(id) };
        let Some(member) = self.members.get(id) else { return Ok(RoomId::LOBBY) };
        let joined = self.rooms.find(name).filter(|room| member.membership(*room).is_some());
        joined.ok_or_else(|| {
            ErrorReply::new("not-in-room", format!("you are not in {}: join it first", escape::line(name)))
        })
    }

    fn current_room(&self, id: MemberId) -> Result<RoomId, ErrorReply> {
        let current = self.members.get(id).and_then(|member| member.current_room);
        current.ok_or_else(|| ErrorReply::new("not-in-room", "you are in no room: /join one first"))
    }

    /// Returns the room with this name.
    pub(super) fn find_room(&self, name: &str) -> Result<RoomId, ErrorReply> {
        let error = || ErrorReply::new("no-such-room", format!("room {} does not exist", escape::line(name)));
        self.rooms.find(name).ok_or_else(error)
    }

    /// Returns a page of a room's members, as an event.
    pub(super) fn who_page(&self, id: RoomId, next: Option<u64>) -> ChatEvent<'static> {
        let (members, next) = self.members_page(id, next);
        let nick = |id| self.members.get(id).map(|member| member.nick.to_string().into());
        let (room, count) =
            self.rooms.get(id).map_or_else(Default::default, |room| (room.name.to_string(), room.member_count()));
        let nicks = members.into_iter().filter_map(nick).collect();
        ChatEvent::Who { room: room.into(), count: count as u64, nicks, next }
    }

    /// Returns a page of a room's members, and the number of the next page.
    ///
    /// Pages run from the last audience to the first, and from the end of each to its start. A
    /// member that joins between two pages is appended behind the part already listed, and a member
    /// that fills the gap of a leaving one comes from that part. So every member that stays in the
    /// room is listed.
    pub(super) fn members_page(&self, room: RoomId, next: Option<u64>) -> (Vec<MemberId>, Option<u64>) {
        let Some(room) = self.rooms.get(room) else { return (Vec::new(), None) };
        let lists = room.member_lists();
        let last = (lists.len() as u64 - 1) << AUDIENCE_SHIFT | u64::from(u32::MAX);
        let from = next.unwrap_or(last).min(last);
        let index = |bits: u64| usize::try_from(bits).unwrap_or(usize::MAX);
        let (mut audience, mut end) = (index(from >> AUDIENCE_SHIFT), index(from & u64::from(u32::MAX)));
        let mut page = Vec::new();
        let next = loop {
            let members = lists.get(audience).copied().unwrap_or_default();
            end = end.min(members.len());
            while end > 0 && page.len() < MAX_NICKS_PER_REPLY {
                end -= 1;
                page.extend(members.get(end).copied());
            }
            match (end, audience) {
                (1.., _) => break Some((audience as u64) << AUDIENCE_SHIFT | end as u64),
                (0, 0) => break None,
                (0, _) => (audience, end) = (audience - 1, usize::MAX),
            }
        };
        (page, next)
    }

    /// Returns a page of the rooms that have members.
    pub(super) fn rooms_page(&self, next: Option<u64>) -> ChatEvent<'_> {
        let mut inhabited = self.rooms.iter_from(next.unwrap_or(0)).filter(|(_, room)| room.member_count() > 0);
        let listing = |(_, room): (RoomId, &'_ ChatRoom)| RoomListing {
            room: room.name.to_string().into(),
            members: room.member_count() as u64,
        };
        let rooms = inhabited.by_ref().take(MAX_ROOMS_PER_REPLY).map(listing).collect();
        ChatEvent::Rooms { rooms, next: inhabited.next().map(|(id, _)| id.0.into()) }
    }
}
