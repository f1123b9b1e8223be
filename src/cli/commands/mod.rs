//! The subcommands of the program, a module each: its arguments, their meaning, and the work.

pub(super) mod bench;
pub(super) mod call;
pub(super) mod duel;
pub(super) mod get;
