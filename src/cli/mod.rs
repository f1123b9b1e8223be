//! The command line, in three steps that know nothing of each other's work: [`args`] is what was typed, [`plan`] what it means,
//! and [`serve`] and [`manual`] do it; [`bench`], [`duel`] and [`commands`] have the same three of their own. The library
//! is used by its public name alone, as any other program would use it.

mod args;
mod bench;
mod commands;
mod config;
mod duel;
mod engine;
mod failure;
mod limits;
mod logging;
mod manual;
mod measure;
mod output;
mod plan;
mod quote;
mod report;
mod screen;
mod secret;
mod serve;
mod services;
mod signals;
mod toml_file;
mod transfer;
mod tryout;
mod units;

use std::process::ExitCode;

use args::{Args, Command};
use failure::Failure;
use plan::Plan;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(answer) => return failure::answer(&answer),
    };
    match obey(args) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn obey(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Serve(typed) => {
            if let Some(parent) = typed.die_with_parent {
                measure::die_with(parent).map_err(Failure::Failed)?;
            }
            let plan = Plan::new(*typed)?;
            logging::start(args.verbosity.level());
            serve::serve(plan)?;
        }
        Command::Bench(typed) => {
            logging::start(args.verbosity.level());
            return bench::bench(typed, args.verbosity.is_quiet());
        }
        Command::Duel(typed) => {
            logging::start(args.verbosity.level());
            return duel::duel(*typed, args.verbosity.is_quiet());
        }
        Command::Call { command } => return commands::call::call(command, args.verbosity),
        Command::Config(command) => config::obey(&command)?,
        Command::Get(typed) => return commands::get::get(typed, args.verbosity),
        Command::Man { subcommand } => manual::man(&subcommand)?,
        Command::Completions { shell } => manual::completions(shell)?,
    }
    Ok(ExitCode::SUCCESS)
}
