//! The write queue: bytes pending for one peer. Bounded, in order, and cut only between frames.
//!
//! The queue is a sequence of chunks. A chunk is one or more whole frames: copied replies, or a
//! batch that is shared with other connections. Invariants:
//!
//! - A chunk whose first byte is sent is never dropped, whatever the policy: the peer would read
//!   the next frame as the missing half.
//! - A batch is dropped whole, because its sender knows it by one id.
//! - Replies are never dropped, because the peer waits for them. Queued batches make room for them.
//!   Only a console, which is never closed for its output, loses replies.
//! - An empty queue owns no heap, and one shared batch alone needs no allocation either.
//!
//! [`queue`] is the queue and its limit, [`chunk_queue`] the chunks, [`dropped`] the report of what
//! was dropped, [`watch`] the peer's progress while it is slow.

mod chunk_queue;
mod dropped;
mod queue;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use dropped::DroppedBatch;
pub(crate) use queue::{EnqueueResult, WriteOutcome, WriteQueue};
