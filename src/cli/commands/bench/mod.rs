//! `switchboard bench`: puts a load on a server and reports the result.
//!
//! The data flows in one direction:
//!
//! 1. [`args`] holds the typed arguments, and [`plan`] their meaning.
//! 2. [`run`] finds or starts the [`server`] and puts the load on it, while its [`watcher`] shows
//!    the [`progress`] and samples the server process.
//! 3. [`build_result`] turns the outcome of the load into a [`result`].
//! 4. Every output is made from the result: the JSON, the CSV ([`samples`]), and the [`report`] for
//!    the terminal and the page, with its [`plots`]. Only the [`hdr`] log needs the histograms
//!    themselves.
//!
//! [`command`] runs these steps. `duel` takes the plan, the run and the result from here. [`soak`]
//! measures nothing: it looks for faults.

pub(crate) mod args;
mod build_result;
pub(crate) mod command;
mod hdr;
pub(crate) mod load_text;
pub(crate) mod notes;
pub(crate) mod plan;
mod plots;
pub(crate) mod progress;
mod remarks;
mod report;
pub(crate) mod result;
pub(crate) mod run;
pub(crate) mod run_error;
mod samples;
mod server;
pub(crate) mod server_source;
mod soak;
#[cfg(test)]
pub(crate) mod tests;
mod verdicts;
pub(crate) mod watcher;

use std::process::ExitCode;

use crate::cli::error::CliError;
use args::BenchCommand;
use plan::BenchPlan;

/// Runs the measurement and prints its report. The exit code is 0 if every answer was right.
pub(crate) fn bench(command: BenchCommand, quiet: bool) -> Result<ExitCode, CliError> {
    let (plan, output) = match command {
        BenchCommand::Echo(args) => (BenchPlan::echo(&args)?, args.result),
        BenchCommand::Chat(args) => (BenchPlan::chat(&args)?, args.result),
        BenchCommand::Soak(args) => return soak::soak(&args, quiet),
    };
    command::run(&plan, output, quiet)
}
