//! The proof that the sender of a datagram receives what is sent to its address.
//!
//! The source address of a datagram can be forged. A member receives the messages of all others, so
//! without a proof one forged datagram would send its victim a whole room. The server answers with
//! a word, which only the owner of the address reads, and the sender returns it. The word is a
//! keyed hash (`SipHash`) of the address, so an unproved sender costs no memory. The key changes
//! every five minutes, and a word is valid until the second change.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const KEY_LIFETIME: Duration = Duration::from_secs(300);

/// The keys of the words that are valid now.
#[derive(Default)]
pub(super) struct AddressProof {
    current: RandomState,
    previous: RandomState,
    /// The start of `current`.
    since: Option<Instant>,
}

impl AddressProof {
    /// Returns the word for a source.
    pub(super) fn word(&mut self, source: SocketAddr, now: Instant) -> String {
        self.change_keys(now);
        word_of(&self.current, source)
    }

    /// Returns true if `word` is valid for the source.
    pub(super) fn accepts(&mut self, source: SocketAddr, word: &str, now: Instant) -> bool {
        self.change_keys(now);
        [&self.current, &self.previous].into_iter().any(|key| word_of(key, source) == word)
    }

    fn change_keys(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age < KEY_LIFETIME {
            return;
        }
        let old = std::mem::take(&mut self.current);
        self.previous = if age < 2 * KEY_LIFETIME { old } else { RandomState::new() };
        self.since = Some(now);
    }
}

/// Returns 48 bits of the hash. At a million guesses in a second, one is right in four years.
fn word_of(key: &RandomState, source: SocketAddr) -> String {
    format!("{:012x}", key.hash_one((source.ip().to_canonical(), source.port())) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_is_valid_for_its_source_and_for_a_time() {
        let [one, other]: [SocketAddr; 2] = ["192.0.2.1:7", "192.0.2.1:8"].map(|addr| addr.parse().unwrap());
        let now = Instant::now();
        let mut proof = AddressProof::default();
        let word = proof.word(one, now);
        assert_eq!((word.len(), &word), (12, &proof.word(one, now)));
        assert!(proof.accepts(one, &word, now + KEY_LIFETIME) && !proof.accepts(other, &word, now));
        assert!(!proof.accepts(one, "", now));
        assert_ne!(proof.word(one, now + KEY_LIFETIME), word);
        assert!(!proof.accepts(one, &word, now + 2 * KEY_LIFETIME));
        // After a silence, both keys are new.
        let word = proof.word(one, now + 2 * KEY_LIFETIME);
        assert!(!proof.accepts(one, &word, now + 4 * KEY_LIFETIME));
    }
}
