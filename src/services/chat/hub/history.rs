//! The last messages of a room, and the room's message ids.

use std::collections::VecDeque;

use crate::frame::Payload;

/// Memory of a kept message beyond its bytes: its entry, for which the queue may have allocated
/// two, the reference count of its bytes, and the allocator's share of two allocations.
const OVERHEAD_BYTES: usize = 2 * size_of::<Payload>() + 48;

/// The last messages of a room, encoded as JSON. Their ids are consecutive, so only the last id is
/// stored.
pub(super) struct RoomHistory {
    /// The id before the room's first message.
    initial_id: u64,
    last_id: u64,
    messages: VecDeque<Payload>,
    /// Evicted bytes that [`take_evicted_bytes`](Self::take_evicted_bytes) has not returned yet.
    evicted_bytes: usize,
}

impl RoomHistory {
    /// Returns an empty history whose first message will have the id after `id`.
    pub(super) fn after(id: u64) -> Self {
        Self { initial_id: id, last_id: id, messages: VecDeque::new(), evicted_bytes: 0 }
    }

    /// Returns true if the room never had a message.
    pub(super) fn is_unused(&self) -> bool {
        self.last_id == self.initial_id
    }

    /// Returns true if no message is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the id of the last message, or the id before the first if the room had none.
    pub(super) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Returns the id of the oldest message that is kept, or the next id if none is kept.
    pub(super) fn oldest_id(&self) -> u64 {
        self.last_id + 1 - self.messages.len() as u64
    }

    /// Appends the message with the next id; returns the bytes that it takes. Stores a copy: a
    /// payload that was made of a `Vec` may have unused capacity.
    pub(super) fn push(&mut self, message: &[u8], max_messages: usize) -> usize {
        let message = Payload::from(message);
        let bytes = memory_of(&message);
        self.last_id += 1;
        self.messages.push_back(message);
        while self.messages.len() > max_messages {
            self.evict_oldest();
        }
        bytes
    }

    pub(super) fn evict_oldest(&mut self) {
        self.evicted_bytes += self.messages.pop_front().as_ref().map_or(0, memory_of);
    }

    /// Returns the bytes evicted since the last call.
    pub(super) fn take_evicted_bytes(&mut self) -> usize {
        std::mem::take(&mut self.evicted_bytes)
    }

    /// Removes all messages; returns the bytes that they took.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.messages).iter().map(memory_of).sum()
    }

    /// Returns the bytes of the kept messages.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        assert_eq!(self.evicted_bytes, 0, "all evicted bytes have been taken");
        self.messages.iter().map(memory_of).sum()
    }

    /// Returns the message with this id, or `None` if it is not kept.
    pub(super) fn get(&self, id: u64) -> Option<&Payload> {
        let at = id.checked_sub(self.oldest_id())?;
        self.messages.get(usize::try_from(at).ok()?)
    }
}

fn memory_of(message: &Payload) -> usize {
    message.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keeps_the_last_messages_and_counts_bytes() {
        let mut history = RoomHistory::after(0);
        assert_eq!((history.last_id(), history.oldest_id()), (0, 1));
        let bytes: usize = (0..5).map(|_| history.push(b"x", 3)).sum();
        assert_eq!((history.last_id(), history.oldest_id()), (5, 3));
        assert!(history.get(2).is_none() && history.get(3).is_some() && history.get(6).is_none());
        assert_eq!(history.take_evicted_bytes() + history.clear(), bytes);
        assert_eq!((history.last_id(), history.oldest_id()), (5, 6));
    }
}
