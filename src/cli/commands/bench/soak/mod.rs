//! `switchboard bench soak`: honest and hostile clients at every service of one server, for a long
//! time. It proves that every honest answer is right, and that nothing is left behind.
//!
//! 1. [`site`] starts a server with every service, and knows the addresses.
//! 2. [`actors`] lists the clients. Each runs on a thread of its own with an [`ActorContext`], and
//!    counts in its [`Tally`]: [`clients`] and [`loads`] check each answer, [`attacks`] misbehave.
//! 3. [`run`] runs them for a short time, waits until the server is idle, and samples its
//!    [`resources`]. Then it runs them for the whole time, and compares.
//! 4. The [`record`] of the run becomes the JSON, and the [`report`] for terminal and page.
//!
//! [`ActorContext`]: context::ActorContext
//! [`Tally`]: tally::Tally

mod actors;
mod attacks;
mod clients;
mod context;
mod loads;
mod record;
mod report;
mod resources;
mod run;
mod site;
mod tally;

use std::process::ExitCode;

use crate::cli::commands::bench::args::BenchSoakArgs;
use crate::cli::error::CliError;
use crate::cli::process::{self, Interrupt};
use crate::cli::report::output::ReportOutput;
use crate::cli::report::record::RecordHeader;

/// Runs the soak and prints its report. The exit code is 0 if every answer was right and nothing
/// was left behind.
pub(super) fn soak(args: &BenchSoakArgs, quiet: bool) -> Result<ExitCode, CliError> {
    let output = ReportOutput::open(args.report.json, args.report.html.clone(), &[])?;
    let interrupt = Interrupt::watch()?;
    process::raise_descriptor_limit();
    let mut header = RecordHeader::new();
    let outcome = run::run(args, &interrupt, quiet)?;
    header.interrupted = interrupt.is_raised();
    let record = record::SoakRecord::new(header, args, outcome);
    output.write(&report::report(&record), &record)?;
    match (interrupt.exit_code(), record.failure()) {
        (Some(code), _) => Ok(code),
        (None, Some(reason)) => Err(CliError::Failed(reason)),
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}
