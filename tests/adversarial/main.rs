//! Attacks on the overload contract, `docs/overload.md`: a module for each of its lines, over real
//! sockets. What is listed in a `conformance!` runs on both engines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the tests use small numbers")]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part")]
#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod fairness;
#[cfg(feature = "cli")]
#[path = "../support/guard.rs"]
mod guard;
mod last_words;
mod logs;
mod memory;
mod panics;
mod peer_faults;
#[cfg(feature = "cli")]
#[allow(dead_code, reason = "the program's own tests use the rest of it")]
#[path = "../cli/program.rs"]
mod program;
mod shutdown;
mod slow_consumers;
mod time;
mod waiting_requests;
