//! A generational slab: slots are reused, keys are not.
//!
//! A key packs a slot's index and a generation into one `usize`, the size of a poll token. An event
//! or a service may hold a key after its entry was removed. Invariant: such a stale key finds no
//! entry, never the slot's next one.
//!
//! [`split`](GenerationalSlab::split) gives one entry apart from all others. So the event loop
//! looks a connection up once and keeps it while a callback's actions reach other connections.

use slab::Slab;

use crate::service::MAX_KEPT_ENTRIES;
use crate::service::ids::{INDEX_BITS, INDEX_MASK};

const GENERATIONS: usize = 1 << (usize::BITS - INDEX_BITS);

/// A slab whose keys are never reused.
pub(crate) struct GenerationalSlab<T> {
    /// The key in each slot.
    keys: Slab<usize>,
    /// The entry of each slot; `None` if the slot is vacant.
    entries: Vec<Option<T>>,
    next_generation: usize,
}

/// All entries of a slab but the one that [`split`](GenerationalSlab::split) gave.
pub(crate) struct Others<'a, T> {
    keys: &'a Slab<usize>,
    before: &'a mut [Option<T>],
    after: &'a mut [Option<T>],
}

impl<T> GenerationalSlab<T> {
    pub(crate) const fn new() -> Self {
        Self { keys: Slab::new(), entries: Vec::new(), next_generation: 1 }
    }

    /// Inserts `value` and returns its key. Keys of generation 0 are never used for entries, see
    /// [`reserved_key`].
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let vacant = self.keys.vacant_entry();
        let index = vacant.key();
        let key = index | (self.next_generation << INDEX_BITS);
        vacant.insert(key);
        match self.entries.get_mut(index) {
            Some(entry) => *entry = Some(value),
            // The slab's slots are numbered from 0, so this one is the first after the last.
            None => self.entries.push(Some(value)),
        }
        self.next_generation = if self.next_generation + 1 == GENERATIONS { 1 } else { self.next_generation + 1 };
        key
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        let index = occupied(&self.keys, key)?;
        self.entries.get_mut(index)?.as_mut()
    }

    pub(crate) fn get(&self, key: usize) -> Option<&T> {
        let index = occupied(&self.keys, key)?;
        self.entries.get(index)?.as_ref()
    }

    /// Returns the entry of `key`, and all others. If `key` has no entry, no other is left out.
    #[inline]
    pub(crate) fn split(&mut self, key: usize) -> (Option<&mut T>, Others<'_, T>) {
        let Self { keys, entries, .. } = self;
        let Some(index) = occupied(keys, key) else {
            return (None, Others { keys, before: entries, after: &mut [] });
        };
        let (before, rest) = entries.split_at_mut(index);
        let (entry, after) = rest.split_at_mut(1);
        (entry.first_mut().and_then(Option::as_mut), Others { keys, before, after })
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let index = occupied(&self.keys, key)?;
        self.keys.remove(index);
        let removed = self.entries.get_mut(index)?.take();
        if self.keys.is_empty() && self.entries.len() > MAX_KEPT_ENTRIES {
            (self.keys, self.entries) = (Slab::new(), Vec::new());
        }
        removed
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.keys.iter().filter_map(|(index, key)| Some((*key, self.entries.get(index)?.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        let keys = &self.keys;
        let entries = self.entries.iter_mut().enumerate();
        entries.filter_map(|(index, entry)| Some((*keys.get(index)?, entry.as_mut()?)))
    }
}

impl<T> Others<'_, T> {
    #[inline]
    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        let index = occupied(self.keys, key)?;
        let entry = match index.checked_sub(self.before.len() + 1) {
            Some(index) => self.after.get_mut(index),
            None => self.before.get_mut(index),
        };
        entry?.as_mut()
    }
}

/// Returns the slot of `key`; `None` if its entry was removed.
#[inline]
fn occupied(keys: &Slab<usize>, key: usize) -> Option<usize> {
    let index = key & INDEX_MASK;
    (keys.get(index) == Some(&key)).then_some(index)
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
    fn an_empty_slab_gives_its_memory_back_and_keeps_no_key_alive() {
        let mut slab = GenerationalSlab::new();
        let keys: Vec<usize> = (0..2 * MAX_KEPT_ENTRIES).map(|number| slab.insert(number)).collect();
        assert!(keys.iter().all(|key| slab.remove(*key).is_some()));
        assert_eq!(slab.entries.capacity(), 0);
        let key = slab.insert(7);
        assert!(keys.iter().all(|key| slab.get(*key).is_none()));
        assert_eq!(slab.get(key), Some(&7));
    }

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
                let split = *which.get(&[&used[..], &[reserved_key(0)]].concat());
                let (entry, mut others) = slab.split(split);
                prop_assert_eq!(entry.copied(), model.get(&split).copied());
                for key in &used {
                    let other = model.get(key).filter(|_| *key != split);
                    prop_assert_eq!(others.get_mut(*key).copied(), other.copied());
                }
                for key in &used {
                    prop_assert_eq!(slab.get(*key), model.get(key));
                    prop_assert_eq!(slab.get_mut(*key).copied(), model.get(key).copied());
                }
            }
            prop_assert_eq!(slab.iter().count(), model.len());
            prop_assert_eq!(slab.iter_mut().count(), model.len());
        }
    }
}
