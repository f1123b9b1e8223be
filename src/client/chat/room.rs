//! The messages of one room in order: each id once, and lost ids are counted.
//!
//! A replay after a reconnect may arrive after newer messages, so the room holds back messages with
//! a gap before them. Their number ([`MAX_HELD`]) and the wait ([`GAP_TIMEOUT`]) are bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::services::chat::fold_name;
use crate::services::chat::wire::ChatEvent;

/// Maximum number of messages held back. It exceeds the history that the server keeps.
const MAX_HELD: usize = 1024;

/// Time to wait for a missing id outside a replay. This crate's server leaves no such gap; another
/// server may.
const GAP_TIMEOUT: Duration = Duration::from_secs(10);

/// A room that the client has joined, or has asked to join.
#[derive(Debug, Default)]
pub(super) struct ClientRoom {
    /// Label of the join request without an answer.
    pub(super) join_label: Option<u64>,
    /// True after the server confirmed the first join.
    pub(super) is_joined: bool,
    /// True if the user has left, and the server has not confirmed it.
    pub(super) is_leaving: bool,
    /// Id of the last message shown; `None` before the first.
    last_id: Option<u64>,
    /// Id of the user's own last message that was acknowledged.
    pub(super) last_acked_id: u64,
    /// Messages after a gap, by id.
    held: BTreeMap<u64, ChatEvent<'static>>,
    /// Start of the wait for the first missing id.
    gap_since: Option<Duration>,
}

impl ClientRoom {
    /// Creates a room of which the client is a member.
    pub(super) fn joined() -> Self {
        Self { is_joined: true, ..Self::default() }
    }

    /// Resets the state after a leave that a new join follows: messages in between do not concern
    /// the user.
    pub(super) fn reset_membership(&mut self) {
        *self = Self {
            join_label: self.join_label,
            is_leaving: self.is_leaving,
            last_acked_id: self.last_acked_id,
            ..Self::default()
        };
    }

    /// Prepares the room for a reconnect. If no message was shown yet, the replay starts at the
    /// first id, because the client cannot know which messages it missed. Newer messages wait for
    /// the replay.
    pub(super) fn mark_disconnected(&mut self) {
        self.last_id.get_or_insert(0);
    }

    /// Returns the id after which the replay starts.
    pub(super) fn replay_after(&self) -> Option<u64> {
        self.last_id
    }

    /// Handles a message: appends the messages that are next in order to `shown`. Returns the
    /// number of lost messages, if the room stops waiting for them.
    pub(super) fn receive(
        &mut self,
        id: u64,
        message: ChatEvent<'static>,
        now: Duration,
        shown: &mut Vec<ChatEvent<'static>>,
    ) -> u64 {
        if self.last_id.is_some_and(|last_id| id <= last_id) {
            return 0;
        }
        self.held.insert(id, message);
        if self.last_id.is_none() {
            self.last_id = Some(id.saturating_sub(1));
        }
        self.release(now, shown);
        if self.held.len() > MAX_HELD { self.skip_gap(now, shown) } else { 0 }
    }

    /// Skips `count` ids from `first` on, which the server no longer keeps. Returns how many of
    /// them were not received.
    pub(super) fn skip(&mut self, first: u64, count: u64, now: Duration, shown: &mut Vec<ChatEvent<'static>>) -> u64 {
        let end = first.saturating_add(count).saturating_sub(1);
        let Some(last_id) = self.last_id else {
            self.last_id = Some(end);
            self.release(now, shown);
            return 0;
        };
        if end <= last_id {
            return 0;
        }
        // If the server sent some of these messages all the same, they are shown.
        let later = self.held.split_off(&end.saturating_add(1));
        let received = std::mem::replace(&mut self.held, later);
        // Messages before the first one that the user received are not lost to the user.
        let known = if last_id == 0 { received.keys().next().map_or(end, |first| first - 1) } else { last_id };
        let missing = end - known - received.len() as u64;
        shown.extend(received.into_values());
        self.last_id = Some(end);
        self.release(now, shown);
        missing
    }

    /// Restarts the ids at 1. Returns true if an old id was shown.
    pub(super) fn reset_ids(&mut self) -> bool {
        let was_shown = self.last_id.is_some_and(|last_id| last_id > 0);
        self.last_id = Some(0);
        self.last_acked_id = 0;
        self.held.clear();
        self.gap_since = None;
        was_shown
    }

    /// Returns the time at which the room stops waiting for a missing id.
    pub(super) fn gap_deadline(&self) -> Option<Duration> {
        self.gap_since.map(|since| since + GAP_TIMEOUT)
    }

    /// Skips the first gap. Returns the number of lost messages.
    pub(super) fn skip_gap(&mut self, now: Duration, shown: &mut Vec<ChatEvent<'static>>) -> u64 {
        let (Some(last_id), Some((first, _))) = (self.last_id, self.held.first_key_value()) else { return 0 };
        let missing = first.saturating_sub(last_id).saturating_sub(1);
        self.last_id = Some(first.saturating_sub(1));
        self.gap_since = None;
        self.release(now, shown);
        missing
    }

    /// Moves the held messages that are next in order to `shown`.
    fn release(&mut self, now: Duration, shown: &mut Vec<ChatEvent<'static>>) {
        let before = shown.len();
        while let (Some(last_id), Some(entry)) = (self.last_id, self.held.first_entry()) {
            let id = *entry.key();
            if id > last_id.saturating_add(1) {
                break;
            }
            self.last_id = Some(id);
            shown.push(entry.remove());
        }
        // Progress means that the replay is closing the gap, so the wait starts again.
        let progressed = shown.len() > before;
        self.gap_since = match self.gap_since {
            _ if self.held.is_empty() => None,
            Some(since) if !progressed => Some(since),
            _ => Some(now),
        };
    }
}

/// Returns true if the server takes both for one room: they are equal by case folding.
pub(super) fn is_same_room(one: &str, other: &str) -> bool {
    one == other || fold_name(one) == fold_name(other)
}

/// Returns the spelling of a room's name among `rooms`, or `name` if the room is not there.
pub(super) fn known_name(rooms: &BTreeMap<String, ClientRoom>, name: String) -> String {
    if rooms.contains_key(&name) {
        return name;
    }
    rooms.keys().find(|known| is_same_room(known, &name)).cloned().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64) -> ChatEvent<'static> {
        let (room, from, text) = ("tea".into(), "bo".into(), "hi".into());
        ChatEvent::Message { room, id, from, text, action: false, at: "".into() }
    }

    /// Receives `ids` in this order. Returns the ids shown, and the number of lost messages.
    fn receive_all(room: &mut ClientRoom, ids: &[u64], now: u64) -> (Vec<u64>, u64) {
        let mut shown = Vec::new();
        let missing = ids.iter().map(|id| room.receive(*id, message(*id), Duration::from_secs(now), &mut shown)).sum();
        (ids_of(&shown), missing)
    }

    fn ids_of(shown: &[ChatEvent<'static>]) -> Vec<u64> {
        shown
            .iter()
            .filter_map(|event| if let ChatEvent::Message { id, .. } = event { Some(*id) } else { None })
            .collect()
    }

    #[test]
    fn replayed_messages_are_shown_before_newer_ones() {
        let mut room = ClientRoom::default();
        assert_eq!(receive_all(&mut room, &[5, 6, 6], 0), (vec![5, 6], 0));
        assert_eq!(receive_all(&mut room, &[9, 10], 0), (vec![], 0));
        assert_eq!(receive_all(&mut room, &[7, 8, 9, 4], 0), (vec![7, 8, 9, 10], 0));
        assert_eq!((room.replay_after(), room.gap_deadline()), (Some(10), None));
    }

    #[test]
    fn ids_that_the_server_lost_are_skipped_and_counted_once() {
        let mut room = ClientRoom::default();
        receive_all(&mut room, &[1, 2, 9], 0);
        let mut shown = Vec::new();
        assert_eq!(room.skip(3, 4, Duration::ZERO, &mut shown), 4);
        assert_eq!(room.skip(3, 4, Duration::ZERO, &mut shown), 0);
        assert!(shown.is_empty());
        assert_eq!(receive_all(&mut room, &[7, 8], 0), (vec![7, 8, 9], 0));
        assert_eq!(room.skip(8, 10, Duration::ZERO, &mut shown), 8);
        assert_eq!(room.skip(1, u64::MAX, Duration::ZERO, &mut shown), u64::MAX - 18);
    }

    #[test]
    fn gap_wait_is_bounded_in_time_and_messages() {
        let mut room = ClientRoom::default();
        receive_all(&mut room, &[1, 5, 6], 3);
        assert_eq!(room.gap_deadline(), Some(Duration::from_secs(13)));
        receive_all(&mut room, &[8], 5);
        assert_eq!(room.gap_deadline(), Some(Duration::from_secs(13)), "the gap is as old as it was");
        let mut shown = Vec::new();
        assert_eq!((room.skip_gap(Duration::from_secs(13), &mut shown), ids_of(&shown)), (3, vec![5, 6]));
        assert_eq!(room.gap_deadline(), Some(Duration::from_secs(23)), "of the next gap");
        let many: Vec<_> = (9..10 + MAX_HELD as u64).collect();
        let (shown, missing) = receive_all(&mut room, &many, 14);
        assert_eq!((shown.first(), shown.len(), missing), (Some(&8), MAX_HELD + 2, 1));
    }

    #[test]
    fn ids_restart_at_one() {
        let mut room = ClientRoom::default();
        receive_all(&mut room, &[100, 103], 0);
        room.reset_ids();
        assert_eq!(receive_all(&mut room, &[2, 1, 3], 0), (vec![1, 2, 3], 0));
    }
}
