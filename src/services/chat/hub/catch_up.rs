//! How somebody who was away gets what it missed: from a room's memory, a piece at a time, before anything new.
//!
//! Meanwhile it has a seat, and is broadcast nothing: what is said now is the last piece of its replay. So it sees every id once
//! and in order, however much there is and however slowly it reads.

use super::arrears::{CatchUp, Missed};
use super::members::{MemberId, Reach};
use super::rooms::RoomId;
use super::speech::BatchLabel;
use super::{Hub, Outlet, batch};
use crate::frame::Payload;
use crate::services::chat::ask::Refusal;
use crate::services::chat::rules::REPLAY_BYTES;
use crate::services::chat::wire::Event;

impl Hub {
    /// Replays to a member that sits in `room` what came after `since` and was not sent to it.
    pub(super) fn replay(
        &mut self,
        id: MemberId,
        room: RoomId,
        since: u64,
        out: &mut dyn Outlet,
    ) -> Result<(), Refusal> {
        self.flush_room(room, out);
        let Some(there) = self.rooms.get(room) else { return Ok(()) };
        let last = there.history.last_id();
        let name = there.name.clone();
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let (reach, Some(seat)) = (member.reach, member.seat(room)) else { return Ok(()) };
        if seat.catching_up {
            let text = format!("{name} is being replayed to you already: ask again when that is done");
            return Err(Refusal::new("replaying", text));
        }
        let since = if since > last {
            self.tell_anew(id, &name, last, out);
            0
        } else {
            since
        };
        let Some(seat) = self.members.get_mut(id).and_then(|member| member.seat_mut(room)) else { return Ok(()) };
        if since + 1 >= seat.first {
            return Ok(());
        }
        let catch_up = CatchUp { next: since + 1, skip: seat.first..last + 1 };
        seat.first = since + 1;
        self.change_hall(id, room, Some(catch_up), reach);
        // Whoever comes back to many rooms at once is not sent a piece of each at once: together they could be more than may wait.
        out.watch_drain();
        Ok(())
    }

    fn tell_anew(&self, id: MemberId, room: &str, last: u64, out: &mut dyn Outlet) {
        let event = Event::Error {
            code: "unknown-id".into(),
            text: format!("the last id of {room} is {last}: ids began anew").into(),
            room: Some(room.into()),
            first: None,
            count: None,
            offer: None,
            label: None,
        };
        self.tell(id, &event, out);
    }

    /// Moves a member between those who are live and those who are not yet.
    fn change_hall(&mut self, id: MemberId, room: RoomId, catch_up: Option<CatchUp>, reach: Reach) {
        let (Some(there), Some(seat)) =
            (self.rooms.get_mut(room), self.members.get_mut(id).and_then(|member| member.seat_mut(room)))
        else {
            return;
        };
        let left = seat.place;
        let moved = there.leave(reach, left, seat.catching_up);
        seat.place = there.enter(reach, id, catch_up.is_some());
        seat.catching_up = catch_up.is_some();
        match catch_up {
            Some(catch_up) => self.members.arrears.begin_catch_up(id, room, catch_up),
            None => self.members.arrears.end_catch_up(id, room),
        }
        self.reseat(moved, room, left);
    }

    /// Sends the next piece of what a member is catching up with, of as many rooms as it has space for.
    pub(super) fn go_on_catching_up(&mut self, id: MemberId, out: &mut dyn Outlet) {
        let Some(member) = self.members.get(id) else { return };
        let behind: Vec<_> = member.seats.iter().filter(|seat| seat.catching_up).map(|seat| seat.room).collect();
        let mut bytes = 0;
        for room in behind {
            if bytes >= REPLAY_BYTES {
                out.watch_drain();
                return;
            }
            bytes += self.catch_up(id, room, REPLAY_BYTES - bytes, out);
        }
        self.answer_pings(id, out);
    }

    /// Answers the pings of a member that has caught up.
    pub(super) fn answer_pings(&mut self, id: MemberId, out: &mut dyn Outlet) {
        for _ in 0..self.members.arrears.take_pings(id) {
            self.tell(id, &Event::Pong, out);
        }
    }

    /// Sends the next piece, and makes the member live if it was the last; returns how many bytes that were.
    fn catch_up(&mut self, id: MemberId, room: RoomId, most: usize, out: &mut dyn Outlet) -> usize {
        self.flush_room(room, out);
        let (Some(there), Some(member)) = (self.rooms.get(room), self.members.get(id)) else { return 0 };
        let (reach, conn) = (member.reach, member.conn());
        let Some(catch_up) = self.members.arrears.catch_up(id, room) else { return 0 };
        let (asked, oldest) = (catch_up.next, there.history.oldest_id());
        // What was sent live before is not missing, even if it has been forgotten since.
        let missing = asked..oldest.min(catch_up.skip.start).max(asked);
        catch_up.next = asked.max(oldest.min(catch_up.skip.start));
        if catch_up.next == catch_up.skip.start {
            catch_up.next = catch_up.skip.end;
        }
        let late = catch_up.next..oldest.max(catch_up.next);
        catch_up.next = late.end;
        let first = catch_up.next;
        let mut piece: Vec<Payload> = Vec::new();
        let mut bytes = 0;
        while bytes < most
            && let Some(message) = there.history.get(catch_up.next)
        {
            bytes += message.len();
            piece.push(message.clone());
            catch_up.next += 1;
            if catch_up.next == catch_up.skip.start {
                catch_up.next = catch_up.skip.end;
            }
        }
        let is_live = catch_up.next > there.history.last_id();
        // Told as one where they meet, with nothing between them that was sent live.
        let gaps = if missing.end == late.start { [missing.start..late.end, 0..0] } else { [missing, late] };
        for gap in gaps {
            if !gap.is_empty() {
                let missed = Missed { room: Some(room), first: gap.start, count: gap.end - gap.start };
                self.tell_missed(id, missed, out);
            }
        }
        if let Some((conn, _)) = conn {
            let label = BatchLabel { room, first, count: piece.len() as u64 };
            batch(&[conn], &piece, label.into(), out);
        }
        if is_live {
            self.change_hall(id, room, None, reach);
        } else {
            out.watch_drain();
        }
        bytes
    }
}
