//! The parts that both engines share: set-up, limits, memory policy, statistics, the error type,
//! the slab of connections, timers, worker threads, and the handle for other threads.

pub(crate) mod budget;
pub(crate) mod clients;
pub(crate) mod datagram_limit;
pub(crate) mod error;
pub(crate) mod handle;
mod job_queue;
pub(crate) mod jobs;
pub(crate) mod lag;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod run_state;
pub(crate) mod setup;
pub(crate) mod slab;
pub(crate) mod stats;
pub(crate) mod threads;
pub(crate) mod timers;
