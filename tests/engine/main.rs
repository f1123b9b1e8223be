//! What users of an engine rely on, seen from outside: real sockets, real time, one module a concept.
//!
//! Scenarios listed in a `conformance!` hold for every engine. The others are about one engine's own ways.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are the tests' own, and small")]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod address_space;
mod batches;
mod console;
mod crowds;
mod descriptors;
mod drain;
mod echo;
mod ends;
mod flushes;
mod handle;
mod jobs;
mod memory;
mod operator;
mod places;
mod raw_mio_echo;
mod rooms;
mod slow_readers;
mod streams;
mod terminals;
mod timeouts;
mod timers;
#[cfg(target_os = "linux")]
mod urgent;
