//! The report of a dropped batch.

use crate::frame::BatchId;

/// A batch that was dropped. It is reported to its service, if that has given it an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DroppedBatch {
    pub(crate) batch: BatchId,
    pub(crate) frames: u32,
}

impl DroppedBatch {
    /// The report that frames without a batch id were dropped. It is for the log only.
    const UNNAMED: Self = Self { batch: BatchId::NONE, frames: 0 };

    /// Adds [`UNNAMED`](Self::UNNAMED) if `list` would otherwise stay empty after a drop.
    pub(crate) fn note_unnamed(list: &mut Vec<Self>) {
        if list.is_empty() {
            list.push(Self::UNNAMED);
        }
    }

    /// Returns true if the batch is reported to its service.
    pub(crate) fn is_named(self) -> bool {
        self != Self::UNNAMED
    }

    /// Adds dropped frames to `list` if their batch has an id.
    pub(crate) fn report(list: &mut Vec<Self>, batch: BatchId, frames: u32) {
        if batch != BatchId::NONE {
            list.push(Self { batch, frames });
        }
    }
}
