//! Exec from outside: real commands, plain sockets, both engines.
//!
//! What a command does, it does to FIFOs and files of the test, so that nothing is waited for by the clock: a FIFO that ends
//! tells that all who held it are gone.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are the tests' own, and small")]

#[allow(dead_code, unused_imports, reason = "other tests from outside share it, too")]
#[path = "../common/mod.rs"]
mod common;

mod asker;
mod dialects;
mod fifo;
mod injection;
mod lifetime;
mod order;
mod tokens;
