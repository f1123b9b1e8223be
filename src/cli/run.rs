//! From the program's arguments to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use switchboard::services::exec::Launcher;

use super::args::{Args, CliCommand};
use super::commands::{bench, call, completions, config, duel, get, man, serve};
use super::error::{CliError, EXIT_USAGE, first_line};
use super::logging;
use super::terminal::{stderr, stdout};

/// The time that a server that ends gives the reader of its standard error.
const SERVER_OUTPUT_LIMIT: Duration = Duration::from_secs(1);

/// Runs the command that the program's arguments name.
pub(crate) fn run() -> ExitCode {
    // First of all: a helper process of the service exec does not return from here.
    let _launcher = Launcher::init();
    let mut output = PendingOutput { limit: None };
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => return report_parse_error(&error),
    };
    if matches!(args.command, CliCommand::Serve(_)) {
        output.limit = Some(SERVER_OUTPUT_LIMIT);
    }
    match dispatch(args) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}

/// The wait for the reader of standard error at the end, also after a panic.
struct PendingOutput {
    /// The longest wait. A client waits as long as it takes, because its lines are for its user.
    limit: Option<Duration>,
}

impl Drop for PendingOutput {
    fn drop(&mut self) {
        stderr::finish(self.limit);
    }
}

fn dispatch(args: Args) -> Result<ExitCode, CliError> {
    let Args { verbosity, command } = args;
    match command {
        CliCommand::Serve(serve_args) => serve::serve(*serve_args, verbosity)?,
        CliCommand::Bench(command) => {
            logging::start(verbosity.level());
            return bench::bench(command, verbosity.is_quiet());
        }
        CliCommand::Duel(duel_args) => {
            logging::start(verbosity.level());
            return duel::duel(*duel_args, verbosity.is_quiet());
        }
        CliCommand::Call { command } => return call::call(command, verbosity),
        CliCommand::Config(command) => config::config(&command)?,
        CliCommand::Get(get_args) => return get::get(get_args, verbosity),
        CliCommand::Man { subcommand } => man::man(Args::definition(), &subcommand)?,
        CliCommand::Completions { shell } => completions::completions(&Args::definition(), shell)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the help or the version if the arguments ask for it, the parser's error otherwise.
fn report_parse_error(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match stdout::is_closed(error.print()) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => error.report(),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(EXIT_USAGE)
        }
        _ => CliError::Usage(first_line(&error.to_string())).report(),
    }
}
