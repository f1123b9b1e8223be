//! The program from outside: its output, exit codes, signals and services.

// The program exists with the feature `cli` only.
#![cfg(feature = "cli")]
// What clippy.toml allows in tests, it does not allow in the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bench;
mod browser;
mod call;
mod chat;
mod clock;
mod colors;
mod connecting;
mod duel;
mod engines;
mod exec;
mod extremes;
mod files;
#[path = "../support/guard.rs"]
mod guard;
#[path = "../support/localhost.rs"]
mod localhost;
mod losses;
mod manual;
mod peer;
mod ports;
mod program;
mod sent_away;
mod serving;
mod signals;
mod starting;
mod terminal;
mod text;
mod text_chat;
mod type_ahead;
mod usage;
mod warnings;
