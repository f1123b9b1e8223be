//! The load generator against real servers, most of them broken on purpose.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot do what it must has failed")]

mod basics;
mod servers;
