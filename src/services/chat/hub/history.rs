//! What was last said in a room, and the ids of it all.

use std::collections::VecDeque;

use crate::frame::Payload;

/// What a kept message costs beyond its bytes.
const OVERHEAD_BYTES: usize = 48;

/// The last messages of a room, as JSON members are sent them. Their ids are consecutive, so none is written down.
pub(super) struct History {
    /// The id before the first.
    begun_after: u64,
    last_id: u64,
    kept: VecDeque<Payload>,
    /// Bytes that were let go of and that nobody has been told of.
    let_go: usize,
}

impl History {
    /// Without a message, whose first will have the next id after this.
    pub(super) fn after(id: u64) -> Self {
        Self { begun_after: id, last_id: id, kept: VecDeque::new(), let_go: 0 }
    }

    /// Whether nothing was ever said.
    pub(super) fn is_untouched(&self) -> bool {
        self.last_id == self.begun_after
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The id of the last message; that before the first if there was none.
    pub(super) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The id of the oldest message that is kept; that of the next if none is.
    pub(super) fn oldest_id(&self) -> u64 {
        self.last_id + 1 - self.kept.len() as u64
    }

    /// Keeps the message with the next id; returns the bytes that it takes.
    pub(super) fn push(&mut self, message: Payload, max_messages: usize) -> usize {
        let bytes = cost(&message);
        self.last_id += 1;
        self.kept.push_back(message);
        while self.kept.len() > max_messages {
            self.let_oldest_go();
        }
        bytes
    }

    pub(super) fn let_oldest_go(&mut self) {
        self.let_go += self.kept.pop_front().as_ref().map_or(0, cost);
    }

    /// How many bytes have been let go of since this was last asked.
    pub(super) fn take_let_go(&mut self) -> usize {
        std::mem::take(&mut self.let_go)
    }

    /// Forgets all; returns the bytes that it took.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.kept).iter().map(cost).sum()
    }

    /// What is kept, as [`Rooms`](super::rooms::Rooms) counts it.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        assert_eq!(self.let_go, 0, "what was let go of has been counted");
        self.kept.iter().map(cost).sum()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Payload> {
        let at = id.checked_sub(self.oldest_id())?;
        self.kept.get(usize::try_from(at).ok()?)
    }
}

fn cost(message: &Payload) -> usize {
    message.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_all_are_counted() {
        let mut history = History::after(0);
        assert_eq!((history.last_id(), history.oldest_id()), (0, 1));
        let bytes: usize = (0..5).map(|_| history.push("x".into(), 3)).sum();
        assert_eq!((history.last_id(), history.oldest_id()), (5, 3));
        assert!(history.get(2).is_none() && history.get(3).is_some() && history.get(6).is_none());
        assert_eq!(history.take_let_go() + history.clear(), bytes);
        assert_eq!((history.last_id(), history.oldest_id()), (5, 6));
    }
}
