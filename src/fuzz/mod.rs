//! The fuzz targets: each takes any bytes and panics if an invariant is broken.
//!
//! The programs in `fuzz/` call these functions, and so does a test, with the inputs of
//! `fuzz/corpus/`. They are not part of the library's interface. The services run over the scripted
//! driver of the reactor's tests, so there is no socket, thread or clock, and an input always gives
//! the same run.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::missing_panics_doc, reason = "a panic reports a fault")]

mod chat;
mod connection;
mod decoder;
mod exec;
mod files;
mod script;
#[cfg(test)]
mod tests;

pub use chat::{chat_json, chat_lines};
pub use connection::connection;
pub use decoder::decoder;
pub use exec::exec_wire;
pub use files::files_wire;

/// Runs the target `config`. The program's own tests have its inputs.
#[cfg(feature = "fuzzing")]
pub fn config(input: &[u8]) {
    crate::cli::fuzz_config(input);
}
