//! `switchboard get` from outside, against servers that are a standard listener and a few bytes, or Python's.

#![cfg(all(unix, feature = "cli"))]
// What clippy.toml allows in tests, it does not allow in the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bodies;
mod files;
mod lies;
mod limits;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../cli/program.rs"]
mod program;
mod python;
mod redirects;
mod server;
mod terminal;
