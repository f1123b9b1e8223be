//! Who is there: under which nick, how they are reached, and which rooms they sit in.
//!
//! There may be as many as there are descriptors, most of them idle, so what few of them need is kept beside them, and the tables that
//! find them hold their numbers and nothing else.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::time::Instant;

use hashbrown::HashTable;
use slab::Slab;

use super::backlog::Arrears;
use super::rooms::RoomId;
use crate::service::ConnId;
use crate::services::chat::dialect::Dialect;
use crate::services::chat::names;
use crate::services::chat::request::Refusal;
use crate::services::chat::token_bucket::Bucket;

/// A member's number. It is used again once the member has gone, so nobody keeps it beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(NonZero<u32>);

impl MemberId {
    /// There are no more members than connections, and these are bounded far below.
    fn of(key: usize) -> Self {
        Self(u32::try_from(key).ok().and_then(|key| NonZero::new(key + 1)).unwrap_or(NonZero::<u32>::MAX))
    }

    fn key(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Somebody who is there.
pub(super) struct Member {
    pub(super) reach: Reach,
    pub(super) nick: Box<str>,
    pub(super) address: Option<IpAddr>,
    pub(super) seats: Vec<Seat>,
    /// Where text without a room is said.
    pub(super) current: Option<RoomId>,
    pub(super) bucket: Bucket,
    /// The others have been told of its coming, since it has said something.
    pub(super) announced: bool,
    /// It has been told that its connection ends.
    pub(super) ending: bool,
}

/// How a member is reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    Conn {
        id: ConnId,
        dialect: Dialect,
    },
    /// By datagrams. It is a member for as long as it is heard of.
    Source {
        address: SocketAddr,
    },
}

/// A member's place in a room.
pub(super) struct Seat {
    pub(super) room: RoomId,
    /// Its index in the hall that it sits in.
    pub(super) place: u32,
    /// The first message that it was, or will be, sent.
    pub(super) first: u64,
    /// Not live yet: it is still being sent what it missed, see [`Arrears`].
    pub(super) catching_up: bool,
}

impl Member {
    pub(super) fn conn(&self) -> Option<(ConnId, Dialect)> {
        match self.reach {
            Reach::Conn { id, dialect } => Some((id, dialect)),
            Reach::Source { .. } => None,
        }
    }

    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.seats.iter().map(|seat| seat.room).collect()
    }

    pub(super) fn seat(&self, room: RoomId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.room == room)
    }

    pub(super) fn seat_mut(&mut self, room: RoomId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.room == room)
    }
}

/// All of them, found by each of their names.
#[derive(Default)]
pub(super) struct Members {
    all: Slab<Member>,
    /// By the connection's slot. Who is there may be the slot's next tenant.
    by_slot: Vec<Option<MemberId>>,
    /// And when each was heard last.
    by_source: HashMap<SocketAddr, (MemberId, Instant)>,
    /// By what the nick has in common with those that are taken for the same.
    by_nick: HashTable<MemberId>,
    nick_hasher: RandomState,
    /// What some of them are still owed.
    pub(super) arrears: Arrears,
    per_address: HashMap<IpAddr, usize>,
    guests: u64,
}

impl Members {
    /// Lets the peer of a connection in, as a guest.
    pub(super) fn enter(&mut self, conn: ConnId, dialect: Dialect, address: Option<IpAddr>) -> MemberId {
        let id = self.seat_guest(Reach::Conn { id: conn, dialect }, address);
        if self.by_slot.len() <= conn.slot() {
            self.by_slot.resize(conn.slot() + 1, None);
        }
        if let Some(tenant) = self.by_slot.get_mut(conn.slot()) {
            *tenant = Some(id);
        }
        id
    }

    /// Lets the sender of a datagram in, as a guest.
    pub(super) fn enter_source(&mut self, source: SocketAddr, address: IpAddr, now: Instant) -> MemberId {
        let id = self.seat_guest(Reach::Source { address: source }, Some(address));
        self.by_source.insert(source, (id, now));
        id
    }

    fn seat_guest(&mut self, reach: Reach, address: Option<IpAddr>) -> MemberId {
        let nick = loop {
            self.guests += 1;
            let nick = names::guest(self.guests);
            if self.by_nick(&nick).is_none() {
                break nick;
            }
        };
        let entry = self.all.vacant_entry();
        let id = MemberId::of(entry.key());
        entry.insert(Member {
            reach,
            nick: nick.into(),
            address,
            seats: Vec::new(),
            current: None,
            bucket: Bucket::default(),
            announced: false,
            ending: false,
        });
        self.list_nick(id);
        if let Some(address) = address {
            *self.per_address.entry(address).or_default() += 1;
        }
        id
    }

    /// Forgets somebody, who sits in no room any more.
    pub(super) fn leave(&mut self, id: MemberId) -> Option<Member> {
        self.strike_nick(id);
        self.arrears.forget(id);
        let member = self.all.try_remove(id.key())?;
        match member.reach {
            Reach::Conn { id: conn, .. } => {
                if let Some(tenant) = self.by_slot.get_mut(conn.slot()).filter(|tenant| **tenant == Some(id)) {
                    *tenant = None;
                }
            }
            Reach::Source { address } => _ = self.by_source.remove(&address),
        }
        if let Some(address) = member.address
            && let Some(count) = self.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        Some(member)
    }

    /// Gives somebody another nick; returns the old one.
    pub(super) fn rename(&mut self, id: MemberId, nick: &str) -> Result<Box<str>, Refusal> {
        names::check_nick(nick)?;
        if self.by_nick(nick).is_some_and(|other| other != id) {
            return Err(self.taken(nick));
        }
        self.strike_nick(id);
        let Some(member) = self.all.get_mut(id.key()) else { return Err(Refusal::new("gone", "nobody is there")) };
        let was = std::mem::replace(&mut member.nick, nick.into());
        self.list_nick(id);
        Ok(was)
    }

    /// Whether somebody new could take a nick.
    pub(super) fn check_free(&self, nick: &str) -> Result<(), Refusal> {
        names::check_nick(nick)?;
        if self.by_nick(nick).is_some() { Err(self.taken(nick)) } else { Ok(()) }
    }

    fn taken(&self, nick: &str) -> Refusal {
        let is_free = |nick: &str| self.by_nick(nick).is_none();
        let offer = names::variant(nick, is_free);
        let free = offer.as_ref().map_or_else(String::new, |offer| format!("; {offer} is free"));
        Refusal { offer, ..Refusal::new("nick-taken", format!("{nick} is taken{free}")) }
    }

    pub(super) fn get(&self, id: MemberId) -> Option<&Member> {
        self.all.get(id.key())
    }

    pub(super) fn get_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.all.get_mut(id.key())
    }

    pub(super) fn by_conn(&self, conn: ConnId) -> Option<MemberId> {
        let id = (*self.by_slot.get(conn.slot())?)?;
        self.get(id)?.conn().is_some_and(|(own, _)| own == conn).then_some(id)
    }

    pub(super) fn by_source(&self, source: SocketAddr) -> Option<MemberId> {
        self.by_source.get(&source).map(|(id, _)| *id)
    }

    /// Notes that a UDP member is alive.
    pub(super) fn note_heard(&mut self, source: SocketAddr, now: Instant) {
        if let Some((_, heard)) = self.by_source.get_mut(&source) {
            *heard = now;
        }
    }

    pub(super) fn by_nick(&self, nick: &str) -> Option<MemberId> {
        let folded = names::fold(nick);
        let is_same = |id: &MemberId| self.get(*id).is_some_and(|member| names::fold(&member.nick) == folded);
        self.by_nick.find(self.nick_hasher.hash_one(&folded), is_same).copied()
    }

    fn list_nick(&mut self, id: MemberId) {
        let Self { all, by_nick, nick_hasher, .. } = self;
        let hash = |id: &MemberId| {
            let nick = all.get(id.key()).map_or("", |member| &member.nick);
            nick_hasher.hash_one(names::fold(nick))
        };
        by_nick.insert_unique(hash(&id), id, hash);
    }

    fn strike_nick(&mut self, id: MemberId) {
        let Some(member) = self.get(id) else { return };
        let hash = self.nick_hasher.hash_one(names::fold(&member.nick));
        if let Ok(entry) = self.by_nick.find_entry(hash, |listed| *listed == id) {
            entry.remove();
        }
    }

    /// The numbers of those at an address.
    pub(super) fn at(&self, address: IpAddr) -> Vec<MemberId> {
        let here = self.iter().filter(|(_, member)| member.address == Some(address));
        here.map(|(id, _)| id).collect()
    }

    pub(super) fn count_at(&self, address: IpAddr) -> usize {
        self.per_address.get(&address).copied().unwrap_or(0)
    }

    /// Those who are reached by datagrams, and when each was heard last.
    pub(super) fn sources(&self) -> impl Iterator<Item = (MemberId, Instant)> + '_ {
        self.by_source.values().copied()
    }

    pub(super) fn source_count(&self) -> usize {
        self.by_source.len()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Panics unless everybody is found by each of its names, and nobody else is.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut per_address = HashMap::new();
        for (id, member) in self.iter() {
            assert_eq!(self.by_nick(&member.nick), Some(id), "{}", member.nick);
            match member.reach {
                Reach::Conn { id: conn, .. } => assert_eq!(self.by_conn(conn), Some(id)),
                Reach::Source { address } => assert_eq!(self.by_source(address), Some(id)),
            }
            if let Some(address) = member.address {
                *per_address.entry(address).or_default() += 1;
            }
        }
        assert_eq!(self.by_nick.len(), self.len());
        self.arrears.check(self);
        assert_eq!(self.by_slot.iter().flatten().count() + self.by_source.len(), self.len());
        assert_eq!(self.per_address, per_address);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (MemberId, &Member)> + '_ {
        self.all.iter().map(|(key, member)| (MemberId::of(key), member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of a crowd is idle; what it costs is measured in whole megabytes.
    #[test]
    fn an_idle_member_is_small() {
        assert!(size_of::<Member>() <= 112, "{} bytes", size_of::<Member>());
        assert!(size_of::<Seat>() <= 16, "{} bytes", size_of::<Seat>());
    }
}
