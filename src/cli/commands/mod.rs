//! The commands, a module each. A command's arguments are a clap struct in its `args` module, which `cli/args.rs` puts
//! together; no command imports that file or another command, except `config`, which reads the file format of `serve`.

pub(super) mod bench;
pub(super) mod call;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod duel;
pub(super) mod get;
pub(super) mod man;
pub(super) mod serve;
