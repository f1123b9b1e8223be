//! The command line. It uses the library by its public names alone, as any other program would.
//!
//! [`args`] defines what can be typed, and [`run`] hands the parsed arguments to the command that
//! they name. A command in [`commands`] turns its arguments into a plan, where it checks them
//! together, and carries the plan out. Commands share [`report`] (figures, tables, pages),
//! [`process`] (child processes, CPUs, signals), [`terminal`] (standard output and escaping) and
//! the single files here. None of these imports a command or [`args`].

mod address;
mod args;
mod commands;
mod engine;
mod error;
mod logging;
mod named_value;
mod private_file;
mod process;
mod report;
mod run;
mod terminal;
mod token_file;
mod transfer;
mod units;
mod verbosity;

#[cfg(feature = "fuzzing")]
#[allow(unused_imports, reason = "the library uses it, the program does not")]
pub(crate) use commands::serve::fuzz_config;
#[cfg_attr(feature = "fuzzing", allow(unused_imports, reason = "the program uses it, the library does not"))]
pub(crate) use run::run;
