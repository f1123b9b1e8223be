//! The services over real sockets, on both engines.

#![cfg(any(feature = "chat", feature = "classic"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are the tests' own, and small")]

#[cfg(feature = "chat")]
mod chat;
#[cfg(feature = "classic")]
mod classic;
#[cfg(feature = "cli")]
mod exec;
#[cfg(feature = "cli")]
mod files;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the engine tests use the rest of it")]
mod support;
