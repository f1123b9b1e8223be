//! `switchboard bench`: puts a load on a server and reports the result.
//!
//! The data flows in one direction:
//!
//! 1. [`args`] holds the typed arguments. `plan` and [`options`] hold their meaning.
//! 2. [`server`] finds or starts the server. The library's load generator sends the load, while
//!    [`watcher`] shows progress and samples the server process.
//! 3. [`build_record`] turns the outcome into a [`record`].
//! 4. Every output is made from the record: the [`table`], the JSON, the CSV ([`samples`]) and the
//!    page ([`html`] with its [`plots`]). Only the [`hdr`] log needs the histograms themselves.
//!
//! [`measurement`] runs these steps for any load. The modules here serve `bench echo`; [`chat`]
//! holds what differs for `bench chat`.

pub(crate) mod args;
mod build_record;
mod chat;
mod echo;
mod format;
mod hdr;
mod html;
mod measurement;
mod notes;
mod options;
mod plan;
mod plots;
mod record;
mod samples;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod verdicts;
mod watcher;

use std::process::ExitCode;

use crate::cli::error::CliError;
use args::BenchCommand;
use chat::plan::ChatBenchPlan;
use plan::EchoBenchPlan;

/// Runs the measurement and prints its report. The exit code is 0 if every answer was right.
pub(crate) fn bench(command: BenchCommand, quiet: bool) -> Result<ExitCode, CliError> {
    match command {
        BenchCommand::Echo(args) => measurement::run(&EchoBenchPlan::new(*args)?, quiet),
        BenchCommand::Chat(args) => measurement::run(&ChatBenchPlan::new(*args)?, quiet),
    }
}
