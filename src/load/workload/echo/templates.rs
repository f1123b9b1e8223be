//! The payloads of messages. A payload is a pure function of the seed, the connection and the
//! message number, so sent payloads are not stored: an answer is compared with the recomputed
//! payload.
//!
//! A payload begins with its identity (connection and number), as much of it as fits, followed by a
//! section of a random table. A whole identity is permuted, so that one flipped bit makes it
//! invalid instead of the identity of a neighbour. Knows neither framing nor socket.

use std::ops::RangeInclusive;

/// Bytes of a whole identity in binary.
const BINARY_IDENTITY_BYTES: usize = 8;
/// Bytes of a whole identity as text, with six bits in each character.
const TEXT_IDENTITY_BYTES: usize = 11;
/// Bytes reserved for an identity in either form.
const MAX_IDENTITY_BYTES: usize = 16;

/// Base-2 logarithm of the number of table offsets at which a body may begin. With 4,096 offsets,
/// the bytes sent and compared stay in the processor's cache.
const OFFSET_BITS: u32 = 12;

/// The source of all payloads of a run.
pub(super) struct Templates {
    table: Box<[u8]>,
    min_bytes: usize,
    /// Number of different payload sizes.
    sizes: u64,
    salt: u64,
    is_text: bool,
}

/// The payload of one message and of its correct answer.
#[derive(Clone, Copy)]
pub(super) struct EchoPayload<'a> {
    identity: [u8; MAX_IDENTITY_BYTES],
    identity_bytes: usize,
    body: &'a [u8],
    /// Offset of the body in the table.
    body_start: usize,
}

impl Templates {
    /// Creates the source of payloads with sizes in the given range. With `is_text`, payloads hold
    /// only printable characters, for framings in which other bytes are delimiters.
    pub(super) fn new(sizes: &RangeInclusive<usize>, seed: u64, is_text: bool) -> Self {
        let (min_bytes, max_bytes) = (*sizes.start(), *sizes.end());
        let mut random = fastrand::Rng::with_seed(seed);
        let mut table = vec![0; max_bytes + (1 << OFFSET_BITS)].into_boxed_slice();
        random.fill(&mut table);
        if is_text {
            table.iter_mut().for_each(|byte| *byte = character((*byte).into()));
        }
        let sizes = max_bytes.saturating_sub(min_bytes) as u64 + 1;
        Self { table, min_bytes, sizes, salt: permute(seed ^ 0x5851_f42d_4c95_7f2d), is_text }
    }

    /// Returns the payload of message `number` of `connection`.
    #[inline]
    pub(super) fn payload(&self, connection: u32, number: u32) -> EchoPayload<'_> {
        let identity = u64::from(connection) << 32 | u64::from(number);
        let word = permute(identity ^ self.salt);
        let bytes = self.size(word);
        let whole = self.identity_bytes();
        let (word_or_part, identity_bytes) = if bytes < whole { (identity, bytes) } else { (word, whole) };
        let identity = if self.is_text { letters(word_or_part) } else { u128::from(word_or_part).to_le_bytes() };
        #[allow(clippy::cast_possible_truncation, reason = "OFFSET_BITS bits remain")]
        let body_start = (word >> (64 - OFFSET_BITS)) as usize;
        let body = self.table.get(body_start..body_start + bytes - identity_bytes).unwrap_or_default();
        EchoPayload { identity, identity_bytes, body, body_start }
    }

    #[inline]
    fn size(&self, word: u64) -> usize {
        if self.sizes == 1 {
            return self.min_bytes;
        }
        let drawn = u128::from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(self.sizes);
        self.min_bytes + usize::try_from(drawn >> 64).unwrap_or(0)
    }

    /// Returns the length of a whole identity.
    pub(super) fn identity_bytes(&self) -> usize {
        if self.is_text { TEXT_IDENTITY_BYTES } else { BINARY_IDENTITY_BYTES }
    }

    /// Reads the identity at the front of `payload`. Returns the low bits of the message number and
    /// how many bits are known; `None` if it is not an identity of `connection`.
    pub(super) fn identify(&self, connection: u32, payload: &[u8]) -> Option<(u32, u32)> {
        let whole = self.identity_bytes();
        let (identity, bits_each) = (payload.get(..whole).unwrap_or(payload), if self.is_text { 6 } else { 8 });
        let mut value = 0;
        for byte in identity.iter().rev() {
            value = value << bits_each | if self.is_text { value_of(*byte)? } else { u64::from(*byte) };
        }
        if identity.len() == whole {
            value = unpermute(value) ^ self.salt;
        }
        let bits = (u32::try_from(identity.len()).unwrap_or(0) * bits_each).min(64);
        let known = 1u64.checked_shl(bits).map_or(u64::MAX, |bit| bit - 1);
        if ((value ^ u64::from(connection) << 32) & known) >> 32 != 0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "the high half is the connection")]
        Some((value as u32, bits.min(32)))
    }

    /// Returns the table that all bodies are sections of.
    pub(super) fn table(&self) -> &[u8] {
        &self.table
    }
}

impl EchoPayload<'_> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.identity_bytes + self.body.len()
    }

    #[inline]
    pub(super) fn identity(&self) -> &[u8] {
        self.identity.get(..self.identity_bytes).unwrap_or_default()
    }

    #[inline]
    pub(super) fn body(&self) -> &[u8] {
        self.body
    }

    /// Returns the offset of the body in the table.
    #[inline]
    pub(super) fn body_start(&self) -> usize {
        self.body_start
    }

    /// Appends the payload to `out`.
    #[inline]
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        self.append_identity_to(out);
        out.extend_from_slice(self.body);
    }

    #[inline]
    pub(super) fn append_identity_to(&self, out: &mut Vec<u8>) {
        match self.identity.first_chunk::<BINARY_IDENTITY_BYTES>() {
            // The common case: a fixed length compiles to one store.
            Some(identity) if self.identity_bytes == BINARY_IDENTITY_BYTES => out.extend_from_slice(identity),
            _ => out.extend_from_slice(self.identity()),
        }
    }

    /// Returns true if `payload` equals this payload, byte by byte.
    #[inline]
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        if self.identity_bytes == BINARY_IDENTITY_BYTES
            && let Some((identity, body)) = payload.split_first_chunk::<BINARY_IDENTITY_BYTES>()
        {
            return self.identity.first_chunk() == Some(identity) && body == self.body;
        }
        payload
            .split_at_checked(self.identity_bytes)
            .is_some_and(|(identity, body)| identity == self.identity() && body == self.body)
    }
}

/// Encodes a word as characters of six bits each, lowest bits first.
fn letters(mut value: u64) -> [u8; MAX_IDENTITY_BYTES] {
    let mut identity = [0; MAX_IDENTITY_BYTES];
    for byte in identity.iter_mut().take(TEXT_IDENTITY_BYTES) {
        *byte = character(value);
        value >>= 6;
    }
    identity
}

/// Returns the character of the low six bits: one of 64 that are neither control nor space.
fn character(value: u64) -> u8 {
    b'0' + (value & 63) as u8
}

fn value_of(character: u8) -> Option<u64> {
    character.checked_sub(b'0').filter(|value| *value < 64).map(u64::from)
}

/// Mixes 64 bits reversibly, so that each output bit depends on each input bit (the finalizer of
/// `SplitMix64`).
#[inline]
fn permute(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Reverses [`permute`].
fn unpermute(mut word: u64) -> u64 {
    word = (word ^ word >> 31 ^ word >> 62).wrapping_mul(0x3196_42b2_d24d_8ec3);
    word = (word ^ word >> 27 ^ word >> 54).wrapping_mul(0x96de_1b17_3f11_9089);
    word ^ word >> 30 ^ word >> 60
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(payload: &EchoPayload<'_>) -> Vec<u8> {
        [payload.identity(), payload.body()].concat()
    }

    proptest! {
        #[test]
        fn unpermute_reverses_permute(word: u64) {
            prop_assert_eq!(unpermute(permute(word)), word);
        }

        #[test]
        fn a_payload_matches_no_other(seed: u64, connection: u32, number: u32, is_text: bool, size in 0usize..200) {
            let templates = Templates::new(&(size..=size), seed, is_text);
            let payload = templates.payload(connection, number);
            let bytes = bytes(&payload);
            prop_assert!(payload.matches(&bytes));
            prop_assert_eq!((bytes.len(), payload.len()), (size, size));
            let (low, known_bits) = templates.identify(connection, &bytes).unwrap();
            prop_assert!(known_bits == 32 || size < templates.identity_bytes());
            prop_assert_eq!(u64::from(low ^ number) & ((1u64 << known_bits) - 1), 0);
            if size >= templates.identity_bytes() {
                prop_assert_eq!(templates.identify(connection ^ 1, &bytes), None);
                prop_assert!(!templates.payload(connection, number.wrapping_add(1)).matches(&bytes));
            }
            for at in 0..size {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1;
                prop_assert!(!payload.matches(&wrong), "byte {at} is not compared");
            }
            prop_assert!(!payload.matches(&[&bytes[..], b"x"].concat()));
        }
    }

    #[test]
    fn a_flipped_bit_invalidates_an_identity() {
        let templates = Templates::new(&(64..=64), 7, false);
        let bytes = bytes(&templates.payload(3, 1000));
        for bit in 0..64 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(templates.identify(3, &wrong), None, "bit {bit}");
        }
    }

    #[test]
    fn sizes_cover_the_range_and_depend_on_the_seed() {
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
    fn text_holds_only_graphic_characters() {
        let templates = Templates::new(&(300..=300), 1, true);
        for number in 0..100 {
            assert!(bytes(&templates.payload(9, number)).iter().all(u8::is_ascii_graphic));
        }
    }
}
