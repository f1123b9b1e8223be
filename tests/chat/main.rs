//! The chat server from outside: real sockets, both engines, clients that know nothing but the bytes.
//!
//! `scripts/` holds the protocol as a table; here it is played over sockets, and beside the hub's own tests without them.

#![cfg(all(feature = "chat", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are the tests' own, and small")]

#[allow(dead_code, unused_imports, reason = "other tests from outside share it, too")]
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the hub's own tests read it, too")]
#[path = "../common/script.rs"]
mod script;

mod crowds;
mod datagrams;
mod doors;
mod hall;
mod member;
mod scripts;
mod slow;

use switchboard::services::chat::ChatRules;
