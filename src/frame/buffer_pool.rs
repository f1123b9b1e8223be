//! Buffers of large frames that have been answered, kept for the next large frame.
//!
//! Without them each large frame that arrives in pieces has its memory mapped, zeroed, faulted in page by page, and unmapped
//! again, which costs more than all the copying. What is kept is bounded, and is there already: lending it promises nothing.

/// Smaller buffers are as quickly had from the allocator.
const MIN_BYTES: usize = 16 * 1024;

/// Kept at most, over all buffers, where one thread serves all connections.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Initialised buffers without an owner. Their content is of no account.
#[derive(Debug)]
pub(crate) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    max_bytes: usize,
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::at_most(MAX_BYTES)
    }
}

impl BufferPool {
    pub(crate) const fn none() -> Self {
        Self::at_most(0)
    }

    /// Keeps at most so many bytes.
    pub(crate) const fn at_most(max_bytes: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, max_bytes }
    }

    /// Lets go of all that is kept.
    pub(crate) fn clear(&mut self) {
        (self.buffers, self.bytes) = (Vec::new(), 0);
    }

    /// A buffer of at least `wanted` bytes, the smallest that holds `most`, if there is one.
    pub(super) fn take(&mut self, wanted: usize, most: usize) -> Option<Vec<u8>> {
        if wanted < MIN_BYTES {
            return None;
        }
        let fits = |bytes: usize| {
            let buffers = self.buffers.iter().enumerate().filter(move |(_, buffer)| buffer.len() >= bytes);
            buffers.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at)
        };
        let buffer = self.buffers.swap_remove(fits(most).or_else(|| fits(wanted))?);
        self.bytes -= buffer.len();
        Some(buffer)
    }

    /// Keeps `buffer` if there is room for it.
    pub(super) fn give(&mut self, buffer: Vec<u8>) {
        if buffer.len() >= MIN_BYTES && self.bytes + buffer.len() <= self.max_bytes {
            self.bytes += buffer.len();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_holds_the_whole_frame_is_taken_and_else_one_that_holds_what_is_wanted() {
        let mut spares = BufferPool::default();
        for kib in [64, 16, 32, 128] {
            spares.give(vec![0; kib * 1024]);
        }
        let mut take =
            |wanted: usize, most: usize| spares.take(wanted * 1024, most * 1024).map(|buffer| buffer.len() / 1024);
        assert_eq!(take(20, 60), Some(64));
        assert_eq!(take(20, 600), Some(32));
        assert_eq!(take(15, 16), None, "small buffers are not worth looking for");
        assert_eq!(take(129, 130), None);
        assert_eq!(take(16, 16), Some(16));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spares = BufferPool::default();
        spares.give(vec![0; MIN_BYTES - 1]);
        assert!(spares.buffers.is_empty());
        for _ in 0..10 {
            spares.give(vec![0; 1024 * 1024]);
        }
        assert_eq!((spares.buffers.len(), spares.bytes), (4, MAX_BYTES));
        spares.take(MIN_BYTES, MIN_BYTES);
        assert_eq!(spares.bytes, 3 * 1024 * 1024);
    }
}
