//! What both engines share: limits, counters, the error, the slab, timers, workers, the handle.

pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod setup;
pub(crate) mod slab;
pub(crate) mod stats;
pub(crate) mod timers;
