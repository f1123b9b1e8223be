//! Behavior of the engines over real sockets and in real time, one module per concept.
//!
//! Each scenario listed in a `conformance!` runs on both engines. The other tests cover one engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the tests use small numbers")]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod address_space;
mod batches;
mod close;
mod console;
mod console_setup;
mod datagram_limit;
mod descriptors;
mod drain;
mod echo;
mod handle;
mod jobs;
mod long_jobs;
mod many_connections;
mod max_connections;
mod memory;
mod raw_mio_echo;
mod rooms;
#[cfg(target_os = "linux")]
mod short_reads;
mod slow_readers;
mod streams;
mod terminals;
mod timeouts;
mod timers;
mod turn_end;
