//! Running `serve`: binds the plan's addresses, prints them and runs the engine until a signal.

use switchboard::{Command, Context, Endpoint, Error, Service, ServiceOptions};

use super::args::ServeArgs;
use super::bind::bind;
use super::config;
use super::plan::ServePlan;
use super::stats::{Start, StatsReporter, StatsReports};
use crate::cli::engine::AnyEngine;
use crate::cli::error::CliError;
use crate::cli::process::signals::{self, SecondSignal};
use crate::cli::terminal::stdout;
use crate::cli::verbosity::Verbosity;
use crate::cli::{logging, process};

/// Flags that can be given together with `--config`, because they set nothing that a configuration
/// file sets.
const BESIDE_CONFIG: [&str; 2] = ["config", "die-with-parent"];

/// Runs `serve` and returns when the engine has stopped.
pub(in crate::cli) fn serve(args: ServeArgs, verbosity: Verbosity) -> Result<(), CliError> {
    if let Some(parent) = args.flags.die_with_parent {
        process::kill_with_parent(parent).map_err(CliError::Failed)?;
    }
    let plan = make_plan(args)?;
    logging::start_as(plan.reports.log_format, verbosity.level());
    logging::log_panics();
    switchboard::install_panic_hook();
    run(plan)
}

/// Returns the plan from the configuration file if one is given, from the flags otherwise.
fn make_plan(args: ServeArgs) -> Result<ServePlan, CliError> {
    let Some(file) = &args.flags.config else { return ServePlan::new(args) };
    if let Some(builtin) = args.service {
        let name = builtin.name;
        return Err(CliError::Usage(format!("{name} cannot be combined with --config: write [{name}] in the file")));
    }
    match args.given.iter().find(|option| !BESIDE_CONFIG.contains(&option.as_str())) {
        Some(option) if option == "port-base" => {
            Err(CliError::Usage("--port-base cannot be combined with --config: write 'listen' in the file".to_owned()))
        }
        Some(option) => {
            Err(CliError::Usage(format!("--{option} cannot be combined with --config: set it in the file")))
        }
        None => config::read(file),
    }
}

fn run(plan: ServePlan) -> Result<(), CliError> {
    process::raise_descriptor_limit();
    let mut engine = AnyEngine::new(plan.engine, plan.limits.clone())?;
    // Before the first bind: a signal without a handler would end the process and leave the files
    // of Unix sockets behind.
    let reports = StatsReports::new(plan.engine, &plan.reports);
    let reporter = Box::new(StatsReporter::new(reports.clone()));
    let reporter = engine.add_service(ServiceOptions::new("stats"), reporter);
    // Before the engine runs, its queue is empty.
    let _ = engine.handle().post(reporter, Box::new(Start));
    let second_signal = signals::send_commands(Command::Post(reporter), |command| engine.command_pipe(command))?;
    if plan.endpoints().any(|endpoint| matches!(endpoint, Endpoint::Unix(_))) {
        engine.add_service(ServiceOptions::new("signals"), Box::new(DrainWatch(second_signal)));
    } else {
        second_signal.allow()?;
    }
    let addresses = bind(&mut engine, plan)?;
    // A server runs even if its standard output cannot be written.
    if let Err(error) = stdout::print_without_waiting(&addresses) {
        log::warn!("{error}");
    }
    let ended = engine.run();
    let stats = match &ended {
        Ok(stats) => stats,
        Err(Error::ServicesStopped { stats }) => stats,
        Err(_) => return Ok(ended.map(drop)?),
    };
    log::info!("stopped: {stats}");
    reports.write_last(stats.clone());
    Ok(ended.map(drop)?)
}

/// A service without listeners. It lets a second signal end the process once the engine drains: by
/// then the engine has closed its listeners and removed their socket files.
struct DrainWatch(SecondSignal);

impl Service for DrainWatch {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}

    fn on_shutdown(&mut self, _cx: &mut Context<'_>) {
        if let Err(error) = self.0.allow_while_draining() {
            log::warn!("{error}; a second signal does not end the process");
        }
    }
}
