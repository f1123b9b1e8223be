//! The state machine of one connection: its unfinished input, its pending output, its phase.
//!
//! [`Connection`] is generic over its [`Stream`], so that tests script every short write and every
//! error. It borrows its service only during a dispatch. It must not know any other connection, and
//! it reads no clock: the time is an argument.
//!
//! A connection goes through `Open → Closing → Flushing → Lingering → Closed`; [`Phase`] names the
//! cause of each transition.
//!
//! Reading order, along the way of a byte: [`state`] is what a connection remembers. [`step`] is
//! where an engine begins its work on a connection and the reactor ends it. The threaded engine
//! ends a step with parts of the same (`threaded/step.rs`): its bytes are counted across threads,
//! and its timer is the timeout of a wait. [`read`] takes bytes from the socket through the decoder
//! to the service. [`write`](mod@write) sends the replies and puts unsent bytes into the
//! [`write_queue`]. [`backpressure`] pauses reading from a peer that does not read. [`deadline`]
//! computes when the peer is late, [`close`] ends the connection in order, and [`drain`] is its
//! part in the end of its engine.

mod backpressure;
mod close;
mod deadline;
mod drain;
mod phase;
mod read;
mod readiness;
#[cfg(test)]
mod scripted_frames;
#[cfg(any(test, feature = "fuzzing"))]
mod scripted_state;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "the fuzz targets use a part of it"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a script that breaks its own rules has failed")]
pub(crate) mod scripted_stream;
mod state;
mod step;
mod stream;
#[cfg(test)]
mod tests;
mod timestamps;
mod worker_context;
mod write;

pub(crate) mod write_queue;

pub(crate) use deadline::DeadlineCheck;
pub(crate) use phase::Phase;
pub(crate) use read::{DispatchOutcome, ReadOutcome};
pub(crate) use readiness::{PeerEnd, Readiness};
pub(crate) use state::Connection;
pub(crate) use step::{Next, StepEnd, TimerChange};
pub(crate) use stream::Stream;
pub(crate) use worker_context::WorkerContext;
