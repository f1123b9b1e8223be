//! What a message says: a pure function of the seed, its connection and its number, so that nothing is kept of what was sent,
//! and an answer is compared with what it must be.
//!
//! A message opens with its identity, as much of it as fits, and goes on with a stretch of a random table. The whole identity is
//! put through a permutation, so that one wrong bit makes it nobody's, and not a neighbour's. Knows neither framing nor socket.

use std::ops::RangeInclusive;

/// Bytes of a whole identity.
const BINARY_HEAD: usize = 8;
/// The same as text, six bits a character.
const TEXT_HEAD: usize = 11;

/// Room for either.
const MAX_HEAD: usize = 16;

/// Places in the table at which a message's body may begin. OneOrMany enough that what is sent and compared stays in cache.
const PLACES_BITS: u32 = 12;

/// All messages of a run.
pub(super) struct Templates {
    table: Box<[u8]>,
    min_bytes: usize,
    /// How many different sizes there are.
    sizes: u64,
    salt: u64,
    text: bool,
}

/// One message, as it is sent and as it must come back.
#[derive(Clone, Copy)]
pub(super) struct EchoPayload<'a> {
    head: [u8; MAX_HEAD],
    head_bytes: usize,
    body: &'a [u8],
    /// Where in the table the body lies.
    body_start: usize,
}

impl Templates {
    /// `text`: made of letters and digits alone, for framings in which some bytes mean something.
    pub(super) fn new(sizes: &RangeInclusive<usize>, seed: u64, text: bool) -> Self {
        let (min_bytes, max_bytes) = (*sizes.start(), *sizes.end());
        let mut random = fastrand::Rng::with_seed(seed);
        let mut table = vec![0; max_bytes + (1 << PLACES_BITS)].into_boxed_slice();
        random.fill(&mut table);
        if text {
            table.iter_mut().for_each(|byte| *byte = character((*byte).into()));
        }
        let sizes = max_bytes.saturating_sub(min_bytes) as u64 + 1;
        Self { table, min_bytes, sizes, salt: permute(seed ^ 0x5851_f42d_4c95_7f2d), text }
    }

    /// Message `number` of `connection`.
    #[inline]
    pub(super) fn payload(&self, connection: u32, number: u32) -> EchoPayload<'_> {
        let identity = u64::from(connection) << 32 | u64::from(number);
        let word = permute(identity ^ self.salt);
        let bytes = self.size(word);
        let whole = self.head_bytes();
        let (word_or_part, head_bytes) = if bytes < whole { (identity, bytes) } else { (word, whole) };
        let head = if self.text { letters(word_or_part) } else { u128::from(word_or_part).to_le_bytes() };
        #[allow(clippy::cast_possible_truncation, reason = "so many bits only")]
        let body_start = (word >> (64 - PLACES_BITS)) as usize;
        let body = self.table.get(body_start..body_start + bytes - head_bytes).unwrap_or_default();
        EchoPayload { head, head_bytes, body, body_start }
    }

    #[inline]
    fn size(&self, word: u64) -> usize {
        if self.sizes == 1 {
            return self.min_bytes;
        }
        let drawn = u128::from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(self.sizes);
        self.min_bytes + usize::try_from(drawn >> 64).unwrap_or(0)
    }

    /// Bytes of a whole identity.
    pub(super) fn head_bytes(&self) -> usize {
        if self.text { TEXT_HEAD } else { BINARY_HEAD }
    }

    /// Which messages of `connection` open as `payload` does: those whose number agrees in the low bits that are returned, with
    /// how many they are. Nothing, when none does.
    pub(super) fn claim(&self, connection: u32, payload: &[u8]) -> Option<(u32, u32)> {
        let whole = self.head_bytes();
        let (head, bits_each) = (payload.get(..whole).unwrap_or(payload), if self.text { 6 } else { 8 });
        let mut value = 0;
        for byte in head.iter().rev() {
            value = value << bits_each | if self.text { value_of(*byte)? } else { u64::from(*byte) };
        }
        if head.len() == whole {
            value = unpermute(value) ^ self.salt;
        }
        let bits = (u32::try_from(head.len()).unwrap_or(0) * bits_each).min(64);
        let known = 1u64.checked_shl(bits).map_or(u64::MAX, |bit| bit - 1);
        if ((value ^ u64::from(connection) << 32) & known) >> 32 != 0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "the rest is the connection")]
        Some((value as u32, bits.min(32)))
    }

    /// All bodies are parts of it.
    pub(super) fn table(&self) -> &[u8] {
        &self.table
    }
}

impl EchoPayload<'_> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.head_bytes + self.body.len()
    }

    #[inline]
    pub(super) fn head(&self) -> &[u8] {
        self.head.get(..self.head_bytes).unwrap_or_default()
    }

    #[inline]
    pub(super) fn body(&self) -> &[u8] {
        self.body
    }

    /// Where in the table the body lies.
    #[inline]
    pub(super) fn body_start(&self) -> usize {
        self.body_start
    }

    /// Appends the payload to `out`.
    #[inline]
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        self.append_head_to(out);
        out.extend_from_slice(self.body);
    }

    #[inline]
    pub(super) fn append_head_to(&self, out: &mut Vec<u8>) {
        match self.head.first_chunk::<BINARY_HEAD>() {
            // Nearly always, and then it is one store.
            Some(head) if self.head_bytes == BINARY_HEAD => out.extend_from_slice(head),
            _ => out.extend_from_slice(self.head()),
        }
    }

    /// Byte for byte.
    #[inline]
    pub(super) fn is(&self, payload: &[u8]) -> bool {
        if self.head_bytes == BINARY_HEAD
            && let Some((head, body)) = payload.split_first_chunk::<BINARY_HEAD>()
        {
            return self.head.first_chunk() == Some(head) && body == self.body;
        }
        payload.split_at_checked(self.head_bytes).is_some_and(|(head, body)| head == self.head() && body == self.body)
    }
}

/// Six bits a letter, lowest first.
fn letters(mut value: u64) -> [u8; MAX_HEAD] {
    let mut head = [0; MAX_HEAD];
    for byte in head.iter_mut().take(TEXT_HEAD) {
        *byte = character(value);
        value >>= 6;
    }
    head
}

/// One of 64 that are neither control characters nor space.
fn character(value: u64) -> u8 {
    b'0' + (value & 63) as u8
}

fn value_of(character: u8) -> Option<u64> {
    character.checked_sub(b'0').filter(|value| *value < 64).map(u64::from)
}

/// Mixes 64 bits so that each depends on each, and can be undone (the last steps of `SplitMix64`).
#[inline]
fn permute(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

fn unpermute(mut word: u64) -> u64 {
    word = (word ^ word >> 31 ^ word >> 62).wrapping_mul(0x3196_42b2_d24d_8ec3);
    word = (word ^ word >> 27 ^ word >> 54).wrapping_mul(0x96de_1b17_3f11_9089);
    word ^ word >> 30 ^ word >> 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(image: &EchoPayload<'_>) -> Vec<u8> {
        [image.head(), image.body()].concat()
    }

    proptest! {
        #[test]
        fn a_permuted_word_is_had_back(word: u64) {
            prop_assert_eq!(unpermute(permute(word)), word);
        }

        #[test]
        fn a_message_is_itself_and_no_other(seed: u64, connection: u32, number: u32, text: bool, size in 0usize..200) {
            let templates = Templates::new(&(size..=size), seed, text);
            let image = templates.payload(connection, number);
            let payload = payload(&image);
            prop_assert!(image.is(&payload));
            prop_assert_eq!((payload.len(), image.len()), (size, size));
            let (low, bits) = templates.claim(connection, &payload).unwrap();
            prop_assert!(bits == 32 || size < templates.head_bytes());
            prop_assert_eq!(u64::from(low ^ number) & ((1u64 << bits) - 1), 0);
            if size >= templates.head_bytes() {
                prop_assert_eq!(templates.claim(connection ^ 1, &payload), None);
                prop_assert!(!templates.payload(connection, number.wrapping_add(1)).is(&payload));
            }
            for at in 0..size {
                let mut wrong = payload.clone();
                wrong[at] ^= 1;
                prop_assert!(!image.is(&wrong), "byte {at} is not looked at");
            }
            prop_assert!(!image.is(&[&payload[..], b"x"].concat()));
        }
    }

    #[test]
    fn one_wrong_bit_of_a_whole_identity_makes_it_nobodys() {
        let templates = Templates::new(&(64..=64), 7, false);
        let payload = payload(&templates.payload(3, 1000));
        for bit in 0..64 {
            let mut wrong = payload.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(templates.claim(3, &wrong), None, "bit {bit}");
        }
    }

    #[test]
    fn sizes_are_drawn_from_the_whole_range_and_equal_seeds_draw_alike() {
        let sizes = |seed| {
            let templates = Templates::new(&(1..=100), seed, false);
            (0..10_000).map(|number| templates.payload(1, number).len()).collect::<Vec<_>>()
        };
        let drawn = sizes(1);
        assert!((1..=100).all(|size| (40..200).contains(&drawn.iter().filter(|drawn| **drawn == size).count())));
        assert_eq!(drawn, sizes(1));
        assert_ne!(drawn, sizes(2));
    }

    #[test]
    fn text_has_no_byte_that_means_something_to_a_framing() {
        let templates = Templates::new(&(300..=300), 1, true);
        for number in 0..100 {
            assert!(payload(&templates.payload(9, number)).iter().all(u8::is_ascii_graphic));
        }
    }
}
