//! Payloads for many receivers, framed once for each framing among them, and put together.

use std::sync::Arc;

use super::encode::encode;
use super::framing::Framing;
use super::payload::{BatchId, Payload};

/// Whole frames, one after the other, that many connections may owe at once.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Payload,
    frames: u32,
    ticket: BatchId,
}

/// Payloads on their way to many connections. What they are framed to is shared by all that are framed alike.
pub(crate) struct SharedFrames<'a> {
    payloads: &'a [Payload],
    ticket: BatchId,
    framed: Vec<(Framing, Option<Arc<Batch>>)>,
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
    pub(crate) fn ticket(&self) -> BatchId {
        self.ticket
    }
}

#[cfg(test)]
impl Batch {
    /// So many bytes that are so many frames already.
    pub(crate) fn encoded(bytes: impl Into<Payload>, frames: u32, ticket: BatchId) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.into(), frames, ticket })
    }
}

impl<'a> SharedFrames<'a> {
    pub(crate) fn of(payloads: &'a [Payload], ticket: BatchId) -> Self {
        Self { payloads, ticket, framed: Vec::new() }
    }

    /// The payloads under `framing`; nothing if that can carry none of them.
    pub(crate) fn under(&mut self, framing: Framing) -> Option<&Arc<Batch>> {
        let at = self.framed.iter().position(|(known, _)| *known == framing).unwrap_or_else(|| {
            self.framed.push((framing, frame(framing, self.payloads, self.ticket).map(Arc::new)));
            self.framed.len() - 1
        });
        self.framed.get(at)?.1.as_ref()
    }
}

/// Those of `payloads` that `framing` can carry. The log is told of the others, once for all receivers.
fn frame(framing: Framing, payloads: &[Payload], ticket: BatchId) -> Option<Batch> {
    if framing == Framing::Raw
        && let [only] = payloads
    {
        return Some(Batch { bytes: only.clone(), frames: 1, ticket });
    }
    let mut bytes = Vec::new();
    let mut frames = 0;
    for payload in payloads {
        match encode(framing, payload, &mut bytes) {
            Ok(()) => frames += 1,
            Err(error) => log::warn!("a message could not be sent to connections framed as {framing}: {error}"),
        }
    }
    (frames > 0).then(|| Batch { bytes: bytes.into(), frames, ticket })
}
