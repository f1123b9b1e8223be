//! Says again what it was told, by whomever.

use std::collections::VecDeque;

use fastrand::Rng;

use crate::frame::TextEncoding;
use crate::service::Context;
use crate::service::Service;

/// Messages that are remembered. Of more, the oldest are forgotten.
const MAX_MESSAGES: usize = 10_000;

/// Bytes of the messages that are remembered.
const MAX_BYTES: usize = 1 << 20;

/// Remembers every message, of all its peers, and answers with one remembered at random, the newest included; `Bye`, in any case,
/// closes.
///
/// It keeps the last 10,000 messages or the last mebibyte, whichever is less, and the newest in any case. What is no text in its encoding
/// is answered with a word of that, and not remembered: whoever would be told it later could not read it. It hears no datagrams: a
/// small one with a forged sender would have a large one, remembered from somebody else, sent to whoever that is.
#[derive(Debug)]
pub struct Parrot {
    memory: Memory,
    dice: Rng,
    encoding: TextEncoding,
}

impl Parrot {
    /// A parrot that listens to text in `encoding`. With the same `seed`, the same messages have the same answers.
    pub fn new(encoding: TextEncoding, seed: u64) -> Self {
        Self { memory: Memory::default(), dice: Rng::with_seed(seed), encoding }
    }

    fn answer(&mut self, cx: &mut Context<'_>, message: &[u8]) {
        if self.encoding.decode(message).is_none() {
            cx.reply(format!("error: this is not {}", self.encoding).as_bytes());
            return;
        }
        self.memory.add(message);
        let any = self.dice.usize(..self.memory.messages.len());
        cx.reply(self.memory.messages.get(any).map_or(message, |remembered| remembered));
    }
}

impl Default for Parrot {
    fn default() -> Self {
        Self::new(TextEncoding::UTF_8, fastrand::u64(..))
    }
}

impl Service for Parrot {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload.trim_ascii().eq_ignore_ascii_case(b"bye") {
            cx.close("it said bye");
        } else {
            self.answer(cx, payload);
        }
    }
}

/// Messages, the oldest first. Never empty once one was added.
#[derive(Debug, Default)]
struct Memory {
    messages: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Memory {
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

    fn told(messages: impl IntoIterator<Item = Vec<u8>>) -> Memory {
        let mut memory = Memory::default();
        messages.into_iter().for_each(|message| memory.add(&message));
        assert_eq!(memory.bytes, memory.messages.iter().map(|message| message.len()).sum::<usize>());
        memory
    }

    #[test]
    fn the_oldest_messages_are_forgotten() {
        let memory = told((0..MAX_MESSAGES + 3).map(|number| number.to_string().into_bytes()));
        assert_eq!(memory.messages.len(), MAX_MESSAGES);
        assert_eq!(**memory.messages.front().unwrap(), *b"3");
        assert_eq!(**memory.messages.back().unwrap(), *b"10002");
    }

    #[test]
    fn messages_are_forgotten_for_their_bytes_too() {
        let memory = told((0..20).map(|number| vec![number; MAX_BYTES / 8]));
        assert_eq!(memory.bytes, MAX_BYTES);
        assert_eq!(memory.messages.front().unwrap()[0], 12);
    }

    #[test]
    fn the_newest_is_remembered_whatever_its_size() {
        let memory = told([vec![1; 10], vec![2; 2 * MAX_BYTES]]);
        assert_eq!((memory.messages.len(), memory.messages[0][0]), (1, 2));
        assert_eq!(told([vec![1; 2 * MAX_BYTES], vec![2; 10]]).bytes, 10);
    }
}
