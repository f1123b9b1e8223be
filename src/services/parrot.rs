//! The parrot service: replies with a random earlier message.

use std::collections::VecDeque;

use fastrand::Rng;

use super::text_frame::text_of_frame;
use crate::frame::TextEncoding;
use crate::service::Context;
use crate::service::Service;

/// The largest number of stored messages. Beyond it, the oldest are removed.
const MAX_MESSAGES: usize = 10_000;

/// The largest sum of the stored messages' lengths, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Stores every message of all its peers and replies with a random stored message, the newest
/// included. `Bye`, in any case, closes the connection.
///
/// It stores the last 10,000 messages or the last 1 MiB, whichever is less, but always the newest.
/// A message that is not valid text in the encoding gets an error reply and is not stored, because
/// later receivers could not read it. Datagrams are ignored: a small datagram with a forged sender
/// address would send a large stored message to that address.
#[derive(Debug)]
pub struct Parrot {
    store: MessageStore,
    rng: Rng,
    encoding: TextEncoding,
}

impl Parrot {
    /// Creates a parrot for text in `encoding`. With the same `seed`, the same messages get the
    /// same replies.
    pub fn new(encoding: TextEncoding, seed: u64) -> Self {
        Self { store: MessageStore::default(), rng: Rng::with_seed(seed), encoding }
    }

    fn reply_to(&mut self, cx: &mut Context<'_>, message: &[u8]) {
        if self.encoding.decode(message).is_none() {
            cx.reply(format!("error: this is not {}", self.encoding).as_bytes());
            return;
        }
        self.store.add(message);
        let any = self.rng.usize(..self.store.messages.len());
        cx.reply(self.store.messages.get(any).map_or(message, |stored| stored));
    }
}

impl Default for Parrot {
    fn default() -> Self {
        Self::new(TextEncoding::UTF_8, fastrand::u64(..))
    }
}

impl Service for Parrot {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let message = text_of_frame(cx, payload, self.encoding);
        if message.trim_ascii().eq_ignore_ascii_case(b"bye") {
            cx.close("it said bye");
        } else {
            self.reply_to(cx, &message);
        }
    }
}

/// The stored messages, oldest first. It is never empty after the first message.
#[derive(Debug, Default)]
struct MessageStore {
    messages: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl MessageStore {
    fn add(&mut self, message: &[u8]) {
        self.messages.push_back(message.into());
        self.bytes += message.len();
        while self.messages.len() > 1
            && (self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES)
            && let Some(oldest) = self.messages.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_of(messages: impl IntoIterator<Item = Vec<u8>>) -> MessageStore {
        let mut store = MessageStore::default();
        messages.into_iter().for_each(|message| store.add(&message));
        assert_eq!(store.bytes, store.messages.iter().map(|message| message.len()).sum::<usize>());
        store
    }

    #[test]
    fn the_oldest_messages_are_removed() {
        let store = store_of((0..MAX_MESSAGES + 3).map(|number| number.to_string().into_bytes()));
        assert_eq!(store.messages.len(), MAX_MESSAGES);
        assert_eq!(**store.messages.front().unwrap(), *b"3");
        assert_eq!(**store.messages.back().unwrap(), *b"10002");
    }

    #[test]
    fn stored_bytes_are_bounded() {
        let store = store_of((0..20).map(|number| vec![number; MAX_BYTES / 8]));
        assert_eq!(store.bytes, MAX_BYTES);
        assert_eq!(store.messages.front().unwrap()[0], 12);
    }

    #[test]
    fn the_newest_message_is_always_stored() {
        let store = store_of([vec![1; 10], vec![2; 2 * MAX_BYTES]]);
        assert_eq!((store.messages.len(), store.messages[0][0]), (1, 2));
        assert_eq!(store_of([vec![1; 2 * MAX_BYTES], vec![2; 10]]).bytes, 10);
    }
}
