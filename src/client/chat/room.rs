//! One room's messages in order: each id once, the next only after the one before, and what never comes is said to be missing.
//!
//! What is replayed after a return may come behind newer messages, so these are held back, but neither many nor for long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::services::chat::wire::Event;

/// Messages held back at most; as many as the server keeps, and some.
const MAX_HELD: usize = 1024;

/// How long a gap is waited for where no replay is under way. No server leaves one there; this is for one that does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A room that the client is in, or has asked to be in.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The request to enter it that has no answer yet.
    pub(super) asked: Option<u64>,
    /// Whether the client has been in it.
    pub(super) entered: bool,
    /// Whether the user has left it, and the server's word on that is still to come.
    pub(super) leaving: bool,
    /// The last id that was shown; none before the first.
    last: Option<u64>,
    /// The last id of the user's own that was acknowledged.
    pub(super) acked: u64,
    held: BTreeMap<u64, Event<'static>>,
    gap_since: Option<Duration>,
}

impl Room {
    /// A room that the client is in.
    pub(super) fn entered() -> Self {
        Self { entered: true, ..Self::default() }
    }

    /// The client has left it and has asked to be let in again: what is said meanwhile is not its business.
    pub(super) fn leave(&mut self) {
        *self = Self { asked: self.asked, leaving: self.leaving, acked: self.acked, ..Self::default() };
    }

    /// The client has lost its connection and will be back. Where nothing was seen yet, all there is will be asked for, because
    /// nobody can say what of it was said meanwhile; and nothing newer is shown before it.
    pub(super) fn interrupt(&mut self) {
        self.last.get_or_insert(0);
    }

    /// What to ask for on coming back: all after this id.
    pub(super) fn since(&self) -> Option<u64> {
        self.last
    }

    /// Takes a message; appends to `shown` what is next in order. Gives how many are missing, where they are no longer waited for.
    pub(super) fn take(
        &mut self,
        id: u64,
        message: Event<'static>,
        now: Duration,
        shown: &mut Vec<Event<'static>>,
    ) -> u64 {
        if self.last.is_some_and(|last| id <= last) {
            return 0;
        }
        self.held.insert(id, message);
        if self.last.is_none() {
            self.last = Some(id.saturating_sub(1));
        }
        self.release(now, shown);
        if self.held.len() > MAX_HELD { self.give_up(now, shown) } else { 0 }
    }

    /// The server no longer has `count` messages from `first` on. Gives how many of them were not seen.
    pub(super) fn skip(&mut self, first: u64, count: u64, now: Duration, shown: &mut Vec<Event<'static>>) -> u64 {
        let end = first.saturating_add(count).saturating_sub(1);
        let Some(last) = self.last else {
            self.last = Some(end);
            self.release(now, shown);
            return 0;
        };
        if end <= last {
            return 0;
        }
        // A server that says so and sends some of them all the same is believed in what it sends.
        let behind = self.held.split_off(&end.saturating_add(1));
        let came = std::mem::replace(&mut self.held, behind);
        // Of those that were said before the first that the user got, none is missed.
        let known = if last == 0 { came.keys().next().map_or(end, |first| first - 1) } else { last };
        let missing = end - known - came.len() as u64;
        shown.extend(came.into_values());
        self.last = Some(end);
        self.release(now, shown);
        missing
    }

    /// The ids begin anew; whether any of the old ones was seen.
    pub(super) fn begin_anew(&mut self) -> bool {
        let seen = self.last.is_some_and(|last| last > 0);
        self.last = Some(0);
        self.acked = 0;
        self.held.clear();
        self.gap_since = None;
        seen
    }

    /// When the gap is no longer waited for.
    pub(super) fn patience_ends(&self) -> Option<Duration> {
        self.gap_since.map(|since| since + PATIENCE)
    }

    /// Goes on behind the first gap; gives how many are missing.
    pub(super) fn give_up(&mut self, now: Duration, shown: &mut Vec<Event<'static>>) -> u64 {
        let (Some(last), Some((first, _))) = (self.last, self.held.first_key_value()) else { return 0 };
        let missing = first.saturating_sub(last).saturating_sub(1);
        self.last = Some(first.saturating_sub(1));
        self.gap_since = None;
        self.release(now, shown);
        missing
    }

    fn release(&mut self, now: Duration, shown: &mut Vec<Event<'static>>) {
        let before = shown.len();
        while let (Some(last), Some(entry)) = (self.last, self.held.first_entry()) {
            let id = *entry.key();
            if id > last.saturating_add(1) {
                break;
            }
            self.last = Some(id);
            shown.push(entry.remove());
        }
        // A gap that something came to fill is being filled.
        let progressed = shown.len() > before;
        self.gap_since = match self.gap_since {
            _ if self.held.is_empty() => None,
            Some(since) if !progressed => Some(since),
            _ => Some(now),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64) -> Event<'static> {
        Event::Message { room: "tea".into(), id, from: "bo".into(), text: "hi".into(), at: "".into() }
    }

    /// What is shown, and how many are missing, after `ids` in this order.
    fn taken(room: &mut Room, ids: &[u64], now: u64) -> (Vec<u64>, u64) {
        let mut shown = Vec::new();
        let missing = ids.iter().map(|id| room.take(*id, message(*id), Duration::from_secs(now), &mut shown)).sum();
        (ids_of(&shown), missing)
    }

    fn ids_of(shown: &[Event<'static>]) -> Vec<u64> {
        shown.iter().filter_map(|event| if let Event::Message { id, .. } = event { Some(*id) } else { None }).collect()
    }

    #[test]
    fn replayed_messages_are_shown_before_newer_ones_that_came_first() {
        let mut room = Room::default();
        assert_eq!(taken(&mut room, &[5, 6, 6], 0), (vec![5, 6], 0));
        assert_eq!(taken(&mut room, &[9, 10], 0), (vec![], 0));
        assert_eq!(taken(&mut room, &[7, 8, 9, 4], 0), (vec![7, 8, 9, 10], 0));
        assert_eq!((room.since(), room.patience_ends()), (Some(10), None));
    }

    #[test]
    fn what_the_server_no_longer_has_is_skipped_and_counted_once() {
        let mut room = Room::default();
        taken(&mut room, &[1, 2, 9], 0);
        let mut shown = Vec::new();
        assert_eq!(room.skip(3, 4, Duration::ZERO, &mut shown), 4);
        assert_eq!(room.skip(3, 4, Duration::ZERO, &mut shown), 0);
        assert!(shown.is_empty());
        assert_eq!(taken(&mut room, &[7, 8], 0), (vec![7, 8, 9], 0));
        assert_eq!(room.skip(8, 10, Duration::ZERO, &mut shown), 8);
        assert_eq!(room.skip(1, u64::MAX, Duration::ZERO, &mut shown), u64::MAX - 18);
    }

    #[test]
    fn a_gap_is_waited_for_neither_for_long_nor_with_many_in_hand() {
        let mut room = Room::default();
        taken(&mut room, &[1, 5, 6], 3);
        assert_eq!(room.patience_ends(), Some(Duration::from_secs(13)));
        taken(&mut room, &[8], 5);
        assert_eq!(room.patience_ends(), Some(Duration::from_secs(13)), "the gap is as old as it was");
        let mut shown = Vec::new();
        assert_eq!((room.give_up(Duration::from_secs(13), &mut shown), ids_of(&shown)), (3, vec![5, 6]));
        assert_eq!(room.patience_ends(), Some(Duration::from_secs(23)), "of the next gap");
        let many: Vec<_> = (9..10 + MAX_HELD as u64).collect();
        let (shown, missing) = taken(&mut room, &many, 14);
        assert_eq!((shown.first(), shown.len(), missing), (Some(&8), MAX_HELD + 2, 1));
    }

    #[test]
    fn ids_that_begin_anew_are_new() {
        let mut room = Room::default();
        taken(&mut room, &[100, 103], 0);
        room.begin_anew();
        assert_eq!(taken(&mut room, &[2, 1, 3], 0), (vec![1, 2, 3], 0));
    }
}
