//! Payloads for many receivers: encoded once per framing among the receivers, and shared between
//! them.

use std::sync::Arc;

use smallvec::SmallVec;

use super::encode::encode;
use super::error::EncodeError;
use super::framing::Framing;
use super::payload::{BatchId, Payload};

/// Bytes that `encode` reserves beside the payload for the usual framings.
const RESERVED_OVERHEAD_BYTES: usize = 8;

/// Encoded frames, one after the other, that many write queues may hold at the same time.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Payload,
    frames: u32,
    id: BatchId,
}

/// Payloads to send to many connections. Connections of the same framing share one encoded
/// [`Batch`].
pub(crate) struct SharedFrames<'a> {
    payloads: &'a [Payload],
    id: BatchId,
    /// One entry per framing; `None` if the framing can carry none of the payloads.
    encoded: SmallVec<[(Framing, Option<Arc<Batch>>); 2]>,
    /// The first payload that a framing cannot carry.
    failure: Option<(Framing, EncodeError)>,
}

impl Batch {
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
        Arc::new(Self { bytes: bytes.into(), frames, id })
    }
}

impl<'a> SharedFrames<'a> {
    pub(crate) fn new(payloads: &'a [Payload], id: BatchId) -> Self {
        Self { payloads, id, encoded: SmallVec::new(), failure: None }
    }

    /// Returns the payloads encoded with `framing`; `None` if the framing can carry none of them.
    pub(crate) fn encode_with(&mut self, framing: Framing) -> Option<&Arc<Batch>> {
        let at = self.encoded.iter().position(|(known, _)| *known == framing).unwrap_or_else(|| {
            let (batch, failure) = encode_batch(framing, self.payloads, self.id);
            self.encoded.push((framing, batch.map(Arc::new)));
            self.failure = self.failure.take().or(failure.map(|error| (framing, error)));
            self.encoded.len() - 1
        });
        self.encoded.get(at)?.1.as_ref()
    }

    /// Returns the first payload's failure, if a framing could not carry it. The payload is left out
    /// there.
    pub(crate) fn take_failure(&mut self) -> Option<(Framing, EncodeError)> {
        self.failure.take()
    }
}

/// Encodes those of `payloads` that `framing` can carry. Returns the error of the first of the
/// others.
fn encode_batch(framing: Framing, payloads: &[Payload], id: BatchId) -> (Option<Batch>, Option<EncodeError>) {
    if framing == Framing::Raw
        && let [only] = payloads
    {
        return (Some(Batch { bytes: only.clone(), frames: 1, id }), None);
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
    ((frames > 0).then(|| Batch { bytes: bytes.into(), frames, id }), failure)
}
