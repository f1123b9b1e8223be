//! The commands, one module for each. A command defines its arguments as a clap struct in its
//! `args` module. `cli/args.rs` combines these structs, and no command imports it. No command
//! imports another, except `config`, which reads the file format of `serve`.

pub(super) mod bench;
pub(super) mod call;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod duel;
pub(super) mod get;
pub(super) mod man;
pub(super) mod serve;
