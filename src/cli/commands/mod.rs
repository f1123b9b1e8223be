//! The commands, a module each. A command's arguments are a clap struct in its `args` module, which `cli/args.rs` puts
//! together; no command imports that file or another command, except `config`, which reads the file format of `serve`.

pub(in crate::cli) mod completions;
pub(in crate::cli) mod config;
pub(in crate::cli) mod man;
pub(in crate::cli) mod serve;
