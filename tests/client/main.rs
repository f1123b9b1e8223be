//! The clients over real sockets.

// clippy.toml allows these in tests, and not in the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[cfg(feature = "cli")]
mod get;
#[cfg(feature = "classic")]
#[path = "../support/guard.rs"]
mod guard;
#[cfg(feature = "cli")]
#[path = "../support/localhost.rs"]
mod localhost;
#[cfg(feature = "cli")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../cli/program.rs"]
mod program;
#[cfg(feature = "classic")]
mod text_socket;
