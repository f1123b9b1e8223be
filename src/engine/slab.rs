//! A generational slab: slots are reused, keys are not.
//!
//! A key packs a slot's index and a generation into one `usize`, the size of a poll token. An event
//! or a service may hold a key after its entry was removed. Invariant: such a stale key finds no
//! entry, never the slot's next one.

use slab::Slab;

use crate::service::ids::{INDEX_BITS, INDEX_MASK};

const GENERATIONS: usize = 1 << (usize::BITS - INDEX_BITS);

/// A slab whose keys are never reused.
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

    /// Inserts `value` and returns its key. Keys of generation 0 are never used for entries, see
    /// [`reserved_key`].
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

/// Returns a key that no entry ever has, for the event loop's own source `number`.
pub(crate) const fn reserved_key(number: usize) -> usize {
    number & INDEX_MASK
}

/// Returns the number in a key made by [`reserved_key`]; `None` for an entry's key.
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
    fn a_stale_key_never_reaches_the_next_entry() {
        let mut slab = GenerationalSlab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first & INDEX_MASK, second & INDEX_MASK, "the slot is reused");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn generations_wrap_around_the_reserved_one() {
        let mut slab = GenerationalSlab::new();
        slab.next_generation = GENERATIONS - 1;
        let last = slab.insert(1);
        let wrapped = slab.insert(2);
        assert_eq!(reserved_number(last), None);
        assert_eq!(reserved_number(wrapped), None);
        assert_eq!(reserved_number(reserved_key(7)), Some(7));
    }

    proptest! {
        /// The model is a map that never uses a key twice.
        #[test]
        fn slab_behaves_as_a_map_of_unique_keys(steps in prop::collection::vec((0u8..3, any::<prop::sample::Index>()), 0..200)) {
            let mut slab = GenerationalSlab::new();
            let mut model = HashMap::new();
            let mut used = Vec::new();
            for (value, (what, which)) in steps.into_iter().enumerate() {
                if what < 2 || used.is_empty() {
                    let key = slab.insert(value);
                    prop_assert!(model.insert(key, value).is_none(), "the key of a live entry was reused");
                    prop_assert!(!used.contains(&key), "a key was reused");
                    used.push(key);
                } else {
                    let key = *which.get(&used);
                    prop_assert_eq!(slab.remove(key), model.remove(&key));
                }
                prop_assert_eq!(slab.len(), model.len());
                for key in &used {
                    prop_assert_eq!(slab.get(*key), model.get(key));
                    prop_assert_eq!(slab.get_mut(*key).copied(), model.get(key).copied());
                }
            }
            prop_assert_eq!(slab.keys().len(), model.len());
        }
    }
}
