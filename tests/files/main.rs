//! The files service from outside: real sockets, both engines, clients that know nothing but the bytes.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are the tests' own, and small")]

#[allow(dead_code, unused_imports, reason = "other tests from outside share it, too")]
#[path = "../common/mod.rs"]
mod common;

mod changes;
mod depot;
mod downloads;
mod framed;
mod listings;
mod names;
mod python;
