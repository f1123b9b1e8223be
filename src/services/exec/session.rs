//! One connection: what is being done for it, and what waits. One thing at a time, answered in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::leash::Leash;
use crate::service::{Peer, TimerId};

/// Requests that wait for the one before them.
const MAX_WAITING: usize = 16;

/// Requests that are turned down because too many wait, and wait to be told so.
const MAX_TURNED_DOWN: usize = 64;

/// Bytes that wait for their clients' word, of all connections together.
const MAX_OFFERED_BYTES: usize = 64 << 20;

/// A connection's.
#[derive(Default)]
pub(super) struct Desk {
    /// Who it is, for the log.
    pub(super) peer: String,
    pub(super) state: State,
    waiting: VecDeque<Waiting>,
    /// The connection has gone, and its desk waits for the end of its command.
    pub(super) is_left: bool,
}

/// What is being done.
#[derive(Default)]
pub(super) enum State {
    #[default]
    Nothing,
    /// A command runs, or waits for its turn.
    Running { name: String, leash: Arc<Leash> },
    /// An answer waits for the client's word.
    Offered { offer: Offer, closes: bool, timer: TimerId },
}

/// A request that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Message(Vec<u8>),
    /// It was one too many.
    TurnedDown,
}

impl Desk {
    pub(super) fn of(peer: &Peer) -> Self {
        Self { peer: peer.to_string(), ..Self::default() }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Has a request wait, or at least its place in the order of answers. Whether there was room.
    pub(super) fn add(&mut self, message: &[u8]) -> bool {
        let turned_down = self.waiting.iter().filter(|waiting| **waiting == Waiting::TurnedDown).count();
        if self.waiting.len() - turned_down < MAX_WAITING {
            self.waiting.push_back(Waiting::Message(message.to_vec()));
        } else if turned_down < MAX_TURNED_DOWN {
            self.waiting.push_back(Waiting::TurnedDown);
        } else {
            return false;
        }
        true
    }

    pub(super) fn next(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// Nothing more is done for this connection.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }
}

/// The bytes of an answer that waits.
pub(super) struct Offer {
    pub(super) bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Offer {
    /// Counts `bytes` in `held` for as long as they wait. Nothing if too much waits already.
    pub(super) fn new(bytes: Vec<u8>, held: &Arc<AtomicUsize>) -> Option<Self> {
        let before = held.fetch_add(bytes.len(), Ordering::Relaxed);
        let offer = Self { bytes, held: Arc::clone(held) };
        (before < MAX_OFFERED_BYTES).then_some(offer)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_so_many_are_told_that_they_cannot() {
        let mut desk = Desk::default();
        for number in 0..MAX_WAITING + MAX_TURNED_DOWN {
            assert!(desk.add(&number.to_le_bytes()), "{number}");
        }
        assert!(!desk.add(b"one too many to be told so"));
        for number in 0..MAX_WAITING {
            assert_eq!(desk.next(), Some(Waiting::Message(number.to_le_bytes().to_vec())));
        }
        assert!(desk.add(b"there is room again"));
        assert_eq!(desk.next(), Some(Waiting::TurnedDown), "in the order in which they came");
    }

    #[test]
    fn offers_are_counted_while_they_wait() {
        let held = Arc::default();
        let first = Offer::new(vec![0; MAX_OFFERED_BYTES], &held);
        assert!(first.is_some());
        assert!(Offer::new(vec![0; 1], &held).is_none());
        drop(first);
        assert!(Offer::new(vec![0; 1], &held).is_some());
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }
}
