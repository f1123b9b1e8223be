//! The texts of messages: a stamp that identifies the message, and padding derived from the stamp.
//! The receiver can verify a text from its stamp, so sent texts are not stored. Knows neither rooms
//! nor sockets.

use crate::services::chat::wire::MAX_TEXT_BYTES;

/// Bytes of a stamp: three hexadecimal numbers of fixed width, and a checksum of them.
pub(super) const STAMP_BYTES: usize = 40;

const DUE_DIGITS: usize = 16;
const PUBLISHER_DIGITS: usize = 6;
const SEQUENCE_DIGITS: usize = 10;
const CHECKSUM_DIGITS: usize = STAMP_BYTES - DUE_DIGITS - PUBLISHER_DIGITS - SEQUENCE_DIGITS;

/// The identity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageStamp {
    /// The time at which the message was due, in nanoseconds since the start of the run.
    pub(super) due_ns: u64,
    /// The number of the member that sends the message.
    pub(super) publisher: u32,
    /// The message's number among those of its publisher, from 0.
    pub(super) sequence: u64,
}

impl MessageStamp {
    /// Appends the message's text of `bytes` bytes. No byte needs an escape in JSON.
    pub(super) fn write(&self, bytes: usize, out: &mut Vec<u8>) {
        push_hex(self.due_ns, DUE_DIGITS, out);
        push_hex(self.publisher.into(), PUBLISHER_DIGITS, out);
        push_hex(self.sequence, SEQUENCE_DIGITS, out);
        push_hex(self.checksum().into(), CHECKSUM_DIGITS, out);
        out.extend_from_slice(self.padding(bytes));
    }

    /// Returns the stamp of `text` if [`write`](Self::write) would write exactly this text of
    /// `bytes` bytes.
    pub(super) fn read(text: &[u8], bytes: usize) -> Option<Self> {
        let (due, rest) = text.split_at_checked(DUE_DIGITS)?;
        let (publisher, rest) = rest.split_at_checked(PUBLISHER_DIGITS)?;
        let (sequence, rest) = rest.split_at_checked(SEQUENCE_DIGITS)?;
        let (checksum, padding) = rest.split_at_checked(CHECKSUM_DIGITS)?;
        let stamp = Self {
            due_ns: parse_hex(due)?,
            publisher: u32::try_from(parse_hex(publisher)?).ok()?,
            sequence: parse_hex(sequence)?,
        };
        let is_intact = parse_hex(checksum)? == u64::from(stamp.checksum())
            && text.len() == bytes
            && padding == stamp.padding(bytes);
        is_intact.then_some(stamp)
    }

    /// Returns a checksum. Two different stamps share it with a probability of 1 in 2³².
    fn checksum(&self) -> u32 {
        // The multipliers of MurmurHash3's finalizer; every input bit affects the high half.
        let mixed = self.due_ns ^ u64::from(self.publisher).rotate_left(40) ^ self.sequence.rotate_left(17);
        let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        u32::try_from(mixed >> 32).unwrap_or(0)
    }

    /// Returns the padding. Consecutive messages begin at different offsets, so that padding with
    /// another message's stamp is detected.
    fn padding(&self, bytes: usize) -> &'static [u8] {
        let start =
            usize::try_from(self.sequence.wrapping_add(u64::from(self.publisher) * 7) % OFFSETS as u64).unwrap_or(0);
        PADDING.get(start..start + bytes.saturating_sub(STAMP_BYTES)).unwrap_or_default()
    }
}

/// Offsets at which padding may begin.
const OFFSETS: usize = 61;

static PADDING: [u8; MAX_TEXT_BYTES + OFFSETS] = random_letters();

/// Returns pseudorandom letters. They come from the high bits of a linear congruential generator,
/// because its low bits have a short period.
const fn random_letters() -> [u8; MAX_TEXT_BYTES + OFFSETS] {
    let mut letters = [0; MAX_TEXT_BYTES + OFFSETS];
    let (mut at, mut state) = (0, 1u32);
    while at < letters.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        #[allow(clippy::indexing_slicing, reason = "bounded by the loop, and evaluated at compile time")]
        {
            letters[at] = b'a' + ((state >> 24) % 26) as u8;
        }
        at += 1;
    }
    letters
}

fn push_hex(value: u64, digits: usize, out: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        #[allow(clippy::cast_possible_truncation, reason = "four bits")]
        let nibble = (value >> (digit * 4)) as u8 & 0xf;
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble });
    }
}

/// Parses lower-case hexadecimal digits.
fn parse_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(stamp: MessageStamp, bytes: usize) -> Vec<u8> {
        let mut text = Vec::new();
        stamp.write(bytes, &mut text);
        text
    }

    fn stamp() -> impl Strategy<Value = MessageStamp> {
        (any::<u64>(), 0..1u32 << 24, 0..1u64 << 40).prop_map(|(due_ns, publisher, sequence)| MessageStamp {
            due_ns,
            publisher,
            sequence,
        })
    }

    proptest! {
        #[test]
        fn read_accepts_what_write_wrote_and_no_other_byte(
            stamp in stamp(), bytes in STAMP_BYTES..=MAX_TEXT_BYTES, at in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            let mut text = text(stamp, bytes);
            prop_assert_eq!(text.len(), bytes);
            prop_assert!(text.iter().all(u8::is_ascii_alphanumeric));
            prop_assert_eq!(MessageStamp::read(&text, bytes), Some(stamp));
            prop_assert_eq!(MessageStamp::read(&text, bytes + 1), None);
            let at = at.index(text.len());
            text[at] ^= flip;
            prop_assert_eq!(MessageStamp::read(&text, bytes), None);
        }
    }

    #[test]
    fn a_changed_digit_invalidates_a_stamp() {
        let text = text(MessageStamp { due_ns: 123_456_789, publisher: 7, sequence: 99 }, STAMP_BYTES);
        for (at, digit) in
            (0..STAMP_BYTES).flat_map(|at| b"0123456789abcdefABCDEF ".iter().map(move |digit| (at, *digit)))
        {
            let mut other = text.clone();
            other[at] = digit;
            assert!(MessageStamp::read(&other, STAMP_BYTES).is_none() || other == text, "{at} {digit}");
        }
    }

    #[test]
    fn padding_of_another_message_is_rejected() {
        let stamp = |sequence| MessageStamp { due_ns: 1, publisher: 2, sequence };
        let (mut one, other) = (text(stamp(1), 256), text(stamp(2), 256));
        one.splice(..STAMP_BYTES, other[..STAMP_BYTES].iter().copied());
        assert_eq!(MessageStamp::read(&one, 256), None);
    }
}
