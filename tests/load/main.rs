//! The load generator against real servers, most of which commit faults on purpose.
//!
//! A busy machine may delay every message, so no test asserts an upper bound of a latency. A run
//! that needs an event before it ends goes on until the event is reported: see [`observers`].

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot do what it must has failed")]

mod chat;
mod faults;
#[path = "../support/guard.rs"]
mod guard;
mod kinds;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/localhost.rs"]
mod localhost;
mod observers;
mod servers;
mod stalls;
mod troubles;
