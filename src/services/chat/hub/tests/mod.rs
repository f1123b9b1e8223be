//! The hub, without an engine: a notebook for its words, and a clock that a test moves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are the tests' own, and small")]

mod costs;
mod crowds;
mod gaps;
mod harness;
mod invariants;
mod model;
mod play;
mod scripts;

/// The form of the scripts, which tests with sockets read, too.
#[allow(dead_code, reason = "what can be played to real sockets is asked there")]
#[path = "../../../../../tests/common/script.rs"]
mod script;

use super::*;
