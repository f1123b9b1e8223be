//! Payloads for many receivers: encoded once per framing among the receivers, and shared between
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::encode::encode;
use super::error::EncodeError;
use super::framing::Framing;
use super::payload::{BatchId, Payload};

/// Bytes that `encode` reserves beside the payload for the usual framings.
const RESERVED_OVERHEAD_BYTES: usize = 8;

/// Memory of a batch beside its bytes: the reference-counted allocations of the batch and of its
/// bytes.
const BATCH_OVERHEAD_BYTES: usize = size_of::<Batch>() + 64;

/// Encoded frames, one after the other, that many write queues may hold at the same time.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Payload,
    frames: u32,
    id: BatchId,
    /// The bytes that are counted in `memory` until the batch is dropped.
    counted_bytes: u64,
    memory: BatchMemory,
}

/// The memory of all batches of an engine. Each is counted once, however many queues hold it.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchMemory(Arc<AtomicU64>);

impl BatchMemory {
    /// Returns the bytes that the batches take.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Payloads to send to many connections. Connections of the same framing share one encoded
/// [`Batch`].
pub(crate) struct SharedFrames<'a> {
    payloads: &'a [Payload],
    id: BatchId,
    memory: BatchMemory,
    /// One entry per framing; `None` if the framing can carry none of the payloads.
    encoded: SmallVec<[(Framing, Option<Arc<Batch>>); 2]>,
    /// The first payload that a framing cannot carry.
    failure: Option<(Framing, EncodeError)>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.counted_bytes, Ordering::Relaxed);
    }
}

impl Batch {
    /// Returns a batch whose bytes take `capacity` bytes of memory.
    fn new(bytes: Payload, capacity: usize, frames: u32, id: BatchId, memory: &BatchMemory) -> Self {
        let counted_bytes = (capacity + BATCH_OVERHEAD_BYTES) as u64;
        memory.0.fetch_add(counted_bytes, Ordering::Relaxed);
        Self { bytes, frames, id, counted_bytes, memory: memory.clone() }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    #[inline]
    pub(crate) fn id(&self) -> BatchId {
        self.id
    }
}

#[cfg(test)]
impl Batch {
    /// Returns a batch of bytes that already contain `frames` frames.
    pub(crate) fn encoded(bytes: impl Into<Payload>, frames: u32, id: BatchId) -> Arc<Self> {
        let bytes: Payload = bytes.into();
        Arc::new(Self::new(bytes.clone(), bytes.len(), frames, id, &BatchMemory::default()))
    }
}

impl<'a> SharedFrames<'a> {
    /// The memory of the encoded batches is counted in `memory`.
    pub(crate) fn new(payloads: &'a [Payload], id: BatchId, memory: &BatchMemory) -> Self {
        Self { payloads, id, memory: memory.clone(), encoded: SmallVec::new(), failure: None }
    }

    /// Returns the payloads encoded with `framing`; `None` if the framing can carry none of them.
    pub(crate) fn encode_with(&mut self, framing: Framing) -> Option<&Arc<Batch>> {
        let at = self.encoded.iter().position(|(known, _)| *known == framing).unwrap_or_else(|| {
            let (batch, failure) = encode_batch(framing, self.payloads, self.id, &self.memory);
            self.encoded.push((framing, batch.map(Arc::new)));
            self.failure = self.failure.take().or(failure.map(|error| (framing, error)));
            self.encoded.len() - 1
        });
        self.encoded.get(at)?.1.as_ref()
    }

    /// Returns the first payload's failure, if a framing could not carry it. The payload is left
    /// out there.
    pub(crate) fn take_failure(&mut self) -> Option<(Framing, EncodeError)> {
        self.failure.take()
    }
}

/// Encodes those of `payloads` that `framing` can carry. Returns the error of the first of the
/// others.
fn encode_batch(
    framing: Framing,
    payloads: &[Payload],
    id: BatchId,
    memory: &BatchMemory,
) -> (Option<Batch>, Option<EncodeError>) {
    if framing == Framing::Raw
        && let [only] = payloads
    {
        return (Some(Batch::new(only.clone(), only.len(), 1, id, memory)), None);
    }
    let payload_bytes: usize = payloads.iter().map(|payload| payload.len()).sum();
    let mut bytes = Vec::with_capacity(payload_bytes + payloads.len() * RESERVED_OVERHEAD_BYTES);
    let (mut frames, mut failure) = (0, None);
    for payload in payloads {
        match encode(framing, payload, &mut bytes) {
            Ok(()) => frames += 1,
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let capacity = bytes.capacity();
    ((frames > 0).then(|| Batch::new(bytes.into(), capacity, frames, id, memory)), failure)
}
