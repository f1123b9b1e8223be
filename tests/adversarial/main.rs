//! Attacks on the overload contract, `docs/overload.md`: a module for each of its lines, over real
//! sockets. What is listed in a `conformance!` runs on both engines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the tests use small numbers")]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part")]
#[path = "../support/mod.rs"]
mod support;

/// For `program`.
#[cfg(feature = "cli")]
mod guard {
    pub(crate) use crate::support::guard;
}

#[cfg(feature = "cli")]
#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../cli/program.rs"]
mod program;

mod descriptors;
mod fairness;
mod last_words;
mod logs;
mod memory;
mod panics;
mod peer_faults;
mod shutdown;
mod slow_consumers;
mod time;
mod waiting_requests;
