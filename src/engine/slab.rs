//! A generational slab: keys that name one tenant for ever, over slots that are used again.
//!
//! A key packs the slot's index and a generation into one `usize`, because that is what a poll token has room for. An event
//! or a service may hold a key long after its tenant has gone; it then resolves to nothing, never to the next tenant.

use slab::Slab;

use crate::service::ids::{INDEX_BITS, INDEX_MASK};

const GENERATIONS: usize = 1 << (usize::BITS - INDEX_BITS);

/// Values by generational key.
pub(crate) struct GenerationalSlab<T> {
    slab: Slab<Slot<T>>,
    next_generation: usize,
}

struct Slot<T> {
    key: usize,
    value: T,
}

impl<T> GenerationalSlab<T> {
    pub(crate) const fn new() -> Self {
        Self { slab: Slab::new(), next_generation: 1 }
    }

    /// Keys of generation zero are never given out: they are free for the caller's own sources, see [`reserved_key`].
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let entry = self.slab.vacant_entry();
        let key = entry.key() | (self.next_generation << INDEX_BITS);
        entry.insert(Slot { key, value });
        self.next_generation = if self.next_generation + 1 == GENERATIONS { 1 } else { self.next_generation + 1 };
        key
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        let slot = self.slab.get_mut(key & INDEX_MASK)?;
        (slot.key == key).then_some(&mut slot.value)
    }

    pub(crate) fn get(&self, key: usize) -> Option<&T> {
        let slot = self.slab.get(key & INDEX_MASK)?;
        (slot.key == key).then_some(&slot.value)
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        self.get(key)?;
        Some(self.slab.remove(key & INDEX_MASK).value)
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.slab.iter().map(|(_, slot)| (slot.key, &slot.value))
    }

    pub(crate) fn keys(&self) -> Vec<usize> {
        self.slab.iter().map(|(_, slot)| slot.key).collect()
    }
}

/// A key that no tenant ever has, for the loop's own source number `number`.
pub(crate) const fn reserved_key(number: usize) -> usize {
    number & INDEX_MASK
}

/// The number in a key made by [`reserved_key`], or nothing for a tenant's key.
#[inline]
pub(crate) const fn reserved_number(key: usize) -> Option<usize> {
    if key >> INDEX_BITS == 0 { Some(key) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_stale_key_never_reaches_the_next_tenant() {
        let mut slots = GenerationalSlab::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first & INDEX_MASK, second & INDEX_MASK, "the slot is used again");
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
    }

    #[test]
    fn generations_wrap_without_touching_the_reserved_one() {
        let mut slots = GenerationalSlab::new();
        slots.next_generation = GENERATIONS - 1;
        let last = slots.insert(1);
        let wrapped = slots.insert(2);
        assert_eq!(reserved_number(last), None);
        assert_eq!(reserved_number(wrapped), None);
        assert_eq!(reserved_number(reserved_key(7)), Some(7));
    }

    proptest! {
        /// Against the plainest model there is: a map that never uses a key twice.
        #[test]
        fn behaves_as_a_map_of_unique_keys(steps in prop::collection::vec((0u8..3, any::<prop::sample::Index>()), 0..200)) {
            let mut slots = GenerationalSlab::new();
            let mut model = HashMap::new();
            let mut given = Vec::new();
            for (value, (what, which)) in steps.into_iter().enumerate() {
                if what < 2 || given.is_empty() {
                    let key = slots.insert(value);
                    prop_assert!(model.insert(key, value).is_none(), "a live key was given out again");
                    prop_assert!(!given.contains(&key), "a key was given out twice");
                    given.push(key);
                } else {
                    let key = *which.get(&given);
                    prop_assert_eq!(slots.remove(key), model.remove(&key));
                }
                prop_assert_eq!(slots.len(), model.len());
                for key in &given {
                    prop_assert_eq!(slots.get(*key), model.get(key));
                    prop_assert_eq!(slots.get_mut(*key).copied(), model.get(key).copied());
                }
            }
            prop_assert_eq!(slots.keys().len(), model.len());
        }
    }
}
