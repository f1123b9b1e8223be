//! What is always so, looked at from outside of any request.

use super::*;

impl Hub {
    /// Panics unless members and rooms agree about who sits where, and all sums are right.
    pub(super) fn check(&self) {
        self.members.check();
        self.rooms.check(&self.rules);
        let mut seats = 0;
        for (id, member) in self.members.iter() {
            seats += member.seats.len();
            assert!(member.current.is_none_or(|room| member.seat(room).is_some()), "it speaks where it sits");
            for Seat { room, place, catching_up, .. } in &member.seats {
                let there = self.rooms.get(*room).expect("a room that somebody sits in is there");
                let (hall, reaches) = match (member.reach, catching_up) {
                    (Reach::Source { address }, _) => {
                        assert_eq!(there.sources.reaches[*place as usize], address);
                        (&there.sources.members, there.sources.reaches.len())
                    }
                    (Reach::Conn { id, dialect }, catching_up) => {
                        let hall = match (catching_up, dialect) {
                            (true, _) => &there.catching_up,
                            (false, Dialect::Json) => &there.json,
                            (false, Dialect::Lines) => &there.lines,
                            (false, Dialect::Raw) => &there.raw,
                        };
                        assert_eq!(hall.reaches[*place as usize], id, "{} sits where it says", member.nick);
                        (&hall.members, hall.reaches.len())
                    }
                };
                assert_eq!(hall[*place as usize], id, "{} sits where it says", member.nick);
                assert_eq!(hall.len(), reaches);
            }
        }
        assert_eq!(seats, self.rooms.iter_from(0).map(|(_, room)| room.count()).sum::<usize>());
        for (id, room) in self.rooms.iter_from(0) {
            assert_eq!(room.unsent.count > 0, room.unsent.bytes > 0);
            assert!(room.unsent.count == 0 || self.speaking.contains(&id), "what is said will be sent");
        }
    }
}
