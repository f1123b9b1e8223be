//! The application's side of an engine: the [`Service`] trait, the [`Context`] that its callbacks
//! act through, and the ids of connections, services, timers and jobs.
//!
//! A service never sees a socket. This folder must not know either engine.

pub(crate) mod address;
mod callbacks;
mod close_reason;
pub(crate) mod context;
mod guarded;
pub(crate) mod ids;
mod job;
mod options;
pub(crate) mod panic_history;
mod panic_policy;
pub(crate) mod panics;
mod peer;
pub(crate) mod reply_buffer;
#[cfg(test)]
pub(crate) mod scripted_service;
pub(crate) mod time;
pub(crate) mod token_bucket;
pub(crate) mod warning_limit;

pub use callbacks::{Message, Service};
pub use close_reason::{CloseReason, OutputBacklog};
pub use context::Context;
pub(crate) use guarded::GuardedService;
pub use ids::{ConnId, JobId, ServiceId, TimerId};
pub use job::{JobError, JobOutput};
pub(crate) use options::{InstanceFactory, JobOptions};
pub use options::{RejectionReply, ServiceOptions};
pub use panic_policy::PanicPolicy;
pub use panics::install_panic_hook;
pub use peer::Peer;

pub use crate::frame::BatchId;

/// The entries that an empty list or table keeps room for. More would be kept from a burst for
/// ever.
pub(crate) const MAX_KEPT_ENTRIES: usize = 64;
