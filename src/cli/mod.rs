//! The command line, in three steps that know nothing of each other's work: [`args`] is what was typed, [`plan`] what it means,
//! and [`serve`] and [`manual`] do it. The library is used by its public name alone, as any other program would use it.

mod args;
mod builtin;
mod engine;
mod failure;
mod limits;
mod logging;
mod manual;
mod output;
mod plan;
mod serve;
mod signals;
mod units;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use failure::Failure;
use plan::Plan;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) => return failure::answer(&answer),
    };
    match obey(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn obey(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Serve(typed) => {
            let plan = Plan::new(typed)?;
            logging::start(args.verbosity.level());
            serve::serve(plan)
        }
        Command::Man { subcommand } => manual::man(subcommand.as_deref()),
        Command::Completions { shell } => manual::completions(shell),
    }
}
