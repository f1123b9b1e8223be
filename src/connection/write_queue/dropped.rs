//! The report of a dropped batch.

use crate::frame::BatchId;

/// A batch that was dropped, and that its service wants to know about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DroppedBatch {
    pub(crate) batch: BatchId,
    pub(crate) frames: u32,
}

impl DroppedBatch {
    /// Adds dropped frames to `list` if their batch has an id.
    pub(crate) fn report(list: &mut Vec<Self>, batch: BatchId, frames: u32) {
        if batch != BatchId::NONE {
            list.push(Self { batch, frames });
        }
    }
}
