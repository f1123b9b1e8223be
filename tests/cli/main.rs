//! The program from outside: what it prints, how it exits, what it does on signals, and that its services answer.

// Signals and Unix-domain sockets are most of what is tested here, and without the feature there is no program.
#![cfg(all(unix, feature = "cli"))]
// What clippy.toml allows in tests, it does not allow in the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bench;
mod call;
mod chat;
mod clock;
mod duel;
mod engines;
mod exec;
mod files;
mod losses;
mod manual;
mod peer;
mod program;
mod sent_away;
mod serving;
mod signals;
mod starting;
mod terminal;
mod text;
mod usage;
