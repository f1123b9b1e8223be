//! A pool of free buffers from large frames, reused for the next large frame.
//!
//! Without the pool, the memory of each large frame that arrives in pieces is mapped, zeroed,
//! faulted in page by page, and unmapped again, which costs more than all the copying. The pool's
//! size is bounded.

/// The smallest buffer that the pool keeps, in bytes. The allocator provides smaller ones as fast.
const MIN_BYTES: usize = 16 * 1024;

/// Default bound on the bytes of all free buffers, for an engine whose one thread serves all
/// connections.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Free buffers. They are initialised; their content has no meaning.
#[derive(Debug)]
pub(crate) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    max_bytes: usize,
    /// Memory is short: no buffer is kept, and none grows by doubling.
    is_saving: bool,
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::with_max_bytes(MAX_BYTES)
    }
}

impl BufferPool {
    /// Returns a pool that keeps no buffers.
    pub(crate) const fn none() -> Self {
        Self::with_max_bytes(0)
    }

    /// Returns a pool that keeps at most `max_bytes`.
    pub(crate) const fn with_max_bytes(max_bytes: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, max_bytes, is_saving: false }
    }

    /// Sets whether memory is short. No buffer is kept then, and a buffer grows by a quarter
    /// instead of doubling.
    #[inline]
    pub(crate) fn set_saving(&mut self, is_saving: bool) {
        if is_saving != self.is_saving {
            self.is_saving = is_saving;
            self.clear();
        }
    }

    /// Returns the bytes of the free buffers.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the size of a buffer that has to hold `bytes` bytes now and will have to hold more.
    pub(super) fn growing_size(&self, bytes: usize) -> usize {
        bytes.saturating_add(if self.is_saving { bytes / 4 } else { bytes })
    }

    /// Frees all buffers.
    pub(crate) fn clear(&mut self) {
        (self.buffers, self.bytes) = (Vec::new(), 0);
    }

    /// Removes and returns a buffer of at least `min_bytes`: the smallest that holds `max_bytes` if
    /// one does. Returns `None` if no buffer fits.
    pub(super) fn take(&mut self, min_bytes: usize, max_bytes: usize) -> Option<Vec<u8>> {
        if min_bytes < MIN_BYTES {
            return None;
        }
        let fits = |bytes: usize| {
            let buffers = self.buffers.iter().enumerate().filter(move |(_, buffer)| buffer.len() >= bytes);
            buffers.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at)
        };
        let buffer = self.buffers.swap_remove(fits(max_bytes).or_else(|| fits(min_bytes))?);
        self.bytes -= buffer.len();
        Some(buffer)
    }

    /// Adds `buffer` to the pool if the bound allows it; otherwise frees it.
    pub(super) fn give(&mut self, buffer: Vec<u8>) {
        if buffer.len() >= MIN_BYTES && self.bytes + buffer.len() <= self.max_bytes && !self.is_saving {
            self.bytes += buffer.len();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_prefers_the_smallest_buffer_for_the_frame() {
        let mut pool = BufferPool::default();
        for kib in [64, 16, 32, 128] {
            pool.give(vec![0; kib * 1024]);
        }
        let mut take = |min: usize, max: usize| pool.take(min * 1024, max * 1024).map(|buffer| buffer.len() / 1024);
        assert_eq!(take(20, 60), Some(64));
        assert_eq!(take(20, 600), Some(32));
        assert_eq!(take(15, 16), None, "buffers below MIN_BYTES are not pooled");
        assert_eq!(take(129, 130), None);
        assert_eq!(take(16, 16), Some(16));
    }

    #[test]
    fn while_memory_is_short_no_buffer_is_kept() {
        let mut pool = BufferPool::default();
        assert_eq!(pool.growing_size(100), 200);
        pool.give(vec![0; MIN_BYTES]);
        pool.set_saving(true);
        pool.give(vec![0; MIN_BYTES]);
        assert_eq!((pool.bytes(), pool.growing_size(100)), (0, 125));
        pool.set_saving(false);
        pool.give(vec![0; MIN_BYTES]);
        assert_eq!((pool.bytes(), pool.growing_size(100)), (MIN_BYTES, 200));
    }

    #[test]
    fn pooled_bytes_are_bounded() {
        let mut pool = BufferPool::default();
        pool.give(vec![0; MIN_BYTES - 1]);
        assert!(pool.buffers.is_empty());
        for _ in 0..10 {
            pool.give(vec![0; 1024 * 1024]);
        }
        assert_eq!((pool.buffers.len(), pool.bytes), (4, MAX_BYTES));
        pool.take(MIN_BYTES, MIN_BYTES);
        assert_eq!(pool.bytes, 3 * 1024 * 1024);
    }
}
