//! The table of members, with an index for each way to find one.
//!
//! There may be as many members as file descriptors, most of them idle. So the state that few
//! members need is kept beside them, in the [`Backlog`], and the indexes hold member ids only.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use hashbrown::HashTable;
use ipnet::IpNet;
use slab::Slab;

use super::backlog::Backlog;
use super::ids::MemberId;
use super::member::{ChatMember, MemberEndpoint};
use crate::service::token_bucket::TokenBucket;
use crate::service::{ConnId, MAX_KEPT_ENTRIES};
use crate::services::chat::dialect::ChatDialect;
use crate::services::chat::names;
use crate::services::chat::network::network_of;
use crate::services::chat::request::ErrorReply;

/// All members.
#[derive(Default)]
pub(super) struct MemberTable {
    all: Slab<ChatMember>,
    /// Index by the connection's slot. The slot may belong to a later connection by now, so
    /// [`by_conn`](Self::by_conn) compares the whole id.
    by_slot: Vec<Option<MemberId>>,
    /// Index by UDP source, with the time of the last datagram.
    by_source: HashMap<SocketAddr, (MemberId, Instant)>,
    /// Index by case-folded nick.
    by_nick: HashTable<MemberId>,
    nick_hasher: RandomState,
    /// Output that slow or replaying members still lack.
    pub(super) backlog: Backlog,
    per_network: HashMap<IpNet, usize>,
    /// Guest nicks given out so far.
    guests: u64,
}

impl MemberTable {
    /// Adds the peer of a connection, as a guest.
    pub(super) fn add(&mut self, conn: ConnId, dialect: ChatDialect, peer: Option<SocketAddr>) -> MemberId {
        let id = self.add_guest(MemberEndpoint::Connection { id: conn, dialect, peer });
        if self.by_slot.len() <= conn.slot() {
            self.by_slot.resize(conn.slot() + 1, None);
        }
        if let Some(entry) = self.by_slot.get_mut(conn.slot()) {
            *entry = Some(id);
        }
        id
    }

    /// Adds the sender of a datagram, as a guest.
    pub(super) fn add_source(&mut self, source: SocketAddr, now: Instant) -> MemberId {
        let id = self.add_guest(MemberEndpoint::Udp { address: source });
        self.by_source.insert(source, (id, now));
        id
    }

    fn add_guest(&mut self, endpoint: MemberEndpoint) -> MemberId {
        let nick = loop {
            self.guests += 1;
            let nick = names::guest_nick(self.guests);
            if self.by_nick(&nick).is_none() {
                break nick;
            }
        };
        let entry = self.all.vacant_entry();
        let id = MemberId::of(entry.key());
        entry.insert(ChatMember {
            endpoint,
            nick: nick.into(),
            memberships: Vec::new(),
            current_room: None,
            bucket: TokenBucket::default(),
            is_announced: false,
            is_disconnecting: false,
        });
        self.index_nick(id);
        if let Some(address) = endpoint.address() {
            *self.per_network.entry(network_of(address)).or_default() += 1;
        }
        id
    }

    /// Removes a member that has left all its rooms.
    pub(super) fn remove(&mut self, id: MemberId) -> Option<ChatMember> {
        self.unindex_nick(id);
        self.backlog.remove_member(id);
        let member = self.all.try_remove(id.key())?;
        match member.endpoint {
            MemberEndpoint::Connection { id: conn, .. } => {
                if let Some(entry) = self.by_slot.get_mut(conn.slot()).filter(|entry| **entry == Some(id)) {
                    *entry = None;
                }
            }
            MemberEndpoint::Udp { address } => _ = self.by_source.remove(&address),
        }
        if let Some(network) = member.endpoint.address().map(network_of)
            && let Some(count) = self.per_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.per_network.remove(&network);
            }
        }
        if self.all.is_empty() {
            self.free_unused_memory();
        }
        Some(member)
    }

    /// Frees what the tables have grown to, because there is no member.
    fn free_unused_memory(&mut self) {
        if self.all.capacity() > MAX_KEPT_ENTRIES {
            (self.all, self.by_slot) = (Slab::new(), Vec::new());
            self.by_source.shrink_to(MAX_KEPT_ENTRIES);
            // The table is empty, so no nick is hashed again.
            self.by_nick.shrink_to(MAX_KEPT_ENTRIES, |_| 0);
            self.per_network.shrink_to(MAX_KEPT_ENTRIES);
            self.backlog.gaps.shrink_to(MAX_KEPT_ENTRIES);
            self.backlog.deferred_pings.shrink_to(MAX_KEPT_ENTRIES);
        }
    }

    /// Changes a member's nick; returns the old one.
    pub(super) fn rename(&mut self, id: MemberId, nick: &str) -> Result<Box<str>, ErrorReply> {
        names::check_nick(nick)?;
        if self.by_nick(nick).is_some_and(|other| other != id) {
            return Err(self.nick_taken(nick));
        }
        self.unindex_nick(id);
        let Some(member) = self.all.get_mut(id.key()) else {
            return Err(ErrorReply::new("gone", "the member has left"));
        };
        let was = std::mem::replace(&mut member.nick, nick.into());
        self.index_nick(id);
        Ok(was)
    }

    /// Returns an error if a new member could not take `nick`.
    pub(super) fn check_free(&self, nick: &str) -> Result<(), ErrorReply> {
        names::check_nick(nick)?;
        if self.by_nick(nick).is_some() { Err(self.nick_taken(nick)) } else { Ok(()) }
    }

    fn nick_taken(&self, nick: &str) -> ErrorReply {
        let is_free = |nick: &str| self.by_nick(nick).is_none();
        let offer = names::similar_free_nick(nick, is_free);
        let free = offer.as_ref().map_or_else(String::new, |offer| format!("; {offer} is free"));
        ErrorReply { offer, ..ErrorReply::new("nick-taken", format!("{nick} is taken{free}")) }
    }

    pub(super) fn get(&self, id: MemberId) -> Option<&ChatMember> {
        self.all.get(id.key())
    }

    pub(super) fn get_mut(&mut self, id: MemberId) -> Option<&mut ChatMember> {
        self.all.get_mut(id.key())
    }

    /// Returns the member of a connection.
    pub(super) fn by_conn(&self, conn: ConnId) -> Option<MemberId> {
        let id = (*self.by_slot.get(conn.slot())?)?;
        self.get(id)?.conn().is_some_and(|(own, _)| own == conn).then_some(id)
    }

    /// Returns the member of a UDP source.
    pub(super) fn by_source(&self, source: SocketAddr) -> Option<MemberId> {
        self.by_source.get(&source).map(|(id, _)| *id)
    }

    /// Stores the time of a UDP member's last datagram.
    pub(super) fn touch_source(&mut self, source: SocketAddr, now: Instant) {
        if let Some((_, last_received)) = self.by_source.get_mut(&source) {
            *last_received = now;
        }
    }

    /// Returns the member with this nick, in any case.
    pub(super) fn by_nick(&self, nick: &str) -> Option<MemberId> {
        let folded = names::fold_name(nick);
        let is_same = |id: &MemberId| self.get(*id).is_some_and(|member| names::fold_name(&member.nick) == folded);
        self.by_nick.find(self.nick_hasher.hash_one(&folded), is_same).copied()
    }

    fn index_nick(&mut self, id: MemberId) {
        let Self { all, by_nick, nick_hasher, .. } = self;
        let hash = |id: &MemberId| {
            let nick = all.get(id.key()).map_or("", |member| &member.nick);
            nick_hasher.hash_one(names::fold_name(nick))
        };
        by_nick.insert_unique(hash(&id), id, hash);
    }

    fn unindex_nick(&mut self, id: MemberId) {
        let Some(member) = self.get(id) else { return };
        let hash = self.nick_hasher.hash_one(names::fold_name(&member.nick));
        if let Ok(entry) = self.by_nick.find_entry(hash, |indexed| *indexed == id) {
            entry.remove();
        }
    }

    /// Returns the members in a network, without those whose connection is being closed.
    pub(super) fn in_network(&self, network: IpNet) -> Vec<MemberId> {
        let is_inside = |address: IpAddr| network.contains(&address.to_canonical());
        let present = self.iter().filter(|(_, member)| !member.is_disconnecting);
        let inside = present.filter(|(_, member)| member.endpoint.address().is_some_and(is_inside));
        inside.map(|(id, _)| id).collect()
    }

    /// Returns the number of members at an address, given by its [network](network_of).
    pub(super) fn count_at(&self, network: IpNet) -> usize {
        self.per_network.get(&network).copied().unwrap_or(0)
    }

    /// Returns the networks of all members, each with its number of members.
    pub(super) fn networks(&self) -> impl Iterator<Item = (IpNet, usize)> + '_ {
        self.per_network.iter().map(|(network, count)| (*network, *count))
    }

    /// Returns the UDP members, with the time of each one's last datagram.
    pub(super) fn sources(&self) -> impl Iterator<Item = (MemberId, Instant)> + '_ {
        self.by_source.values().copied()
    }

    /// Returns the number of UDP members.
    pub(super) fn source_count(&self) -> usize {
        self.by_source.len()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (MemberId, &ChatMember)> + '_ {
        self.all.iter().map(|(key, member)| (MemberId::of(key), member))
    }

    /// Panics unless each index holds exactly the members of the table.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut per_network = HashMap::new();
        for (id, member) in self.iter() {
            assert_eq!(self.by_nick(&member.nick), Some(id), "{}", member.nick);
            match member.endpoint {
                MemberEndpoint::Connection { id: conn, .. } => assert_eq!(self.by_conn(conn), Some(id)),
                MemberEndpoint::Udp { address } => assert_eq!(self.by_source(address), Some(id)),
            }
            if let Some(address) = member.endpoint.address() {
                *per_network.entry(network_of(address)).or_default() += 1;
            }
        }
        assert_eq!(self.by_nick.len(), self.len());
        assert_eq!(self.by_slot.iter().flatten().count() + self.by_source.len(), self.len());
        assert_eq!(self.per_network, per_network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_leave_no_memory_behind() {
        let mut table = MemberTable::default();
        let now = Instant::now();
        let sources =
            (0..2_000_u16).map(|number| SocketAddr::from((std::net::Ipv4Addr::from(u32::from(number) << 8), 1)));
        let mut members: Vec<MemberId> = sources.map(|source| table.add_source(source, now)).collect();
        members.extend((0..2_000).map(|slot| table.add(ConnId(slot), ChatDialect::Json, None)));
        table.check();
        for member in members {
            assert!(table.remove(member).is_some());
        }
        table.check();
        let MemberTable { all, by_slot, by_source, by_nick, per_network, .. } = table;
        let kept =
            [all.capacity(), by_slot.capacity(), by_source.capacity(), by_nick.capacity(), per_network.capacity()];
        assert!(kept.iter().all(|entries| *entries <= 2 * MAX_KEPT_ENTRIES), "{kept:?}");
    }
}
