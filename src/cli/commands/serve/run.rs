//! Binds what the plan says, says where, and runs the engine.

use std::fmt::Write;
use std::io;

use switchboard::{Framing, ServiceId};

use super::args::{GivenFlag, ServeArgs};
use super::plan::{PlannedService, ServePlan};
use super::{config, examples, signals};
use crate::cli::engine::AnyEngine;
use crate::cli::error::CliError;
use crate::cli::terminal::stdout;
use crate::cli::verbosity::Verbosity;
use crate::cli::{logging, process};

/// Flags that can be given together with `--config`, because they set nothing that a configuration file sets.
const BESIDE_CONFIG: [&str; 4] = ["--config", "--verbose", "--quiet", "--die-with-parent"];

/// Runs `serve`: returns when the engine has stopped.
pub(in crate::cli) fn serve(args: ServeArgs, verbosity: Verbosity) -> Result<(), CliError> {
    if let Some(parent) = args.die_with_parent {
        process::kill_with_parent(parent).map_err(CliError::Failed)?;
    }
    let plan = plan(args)?;
    logging::start(verbosity.level());
    run(plan)
}

fn plan(args: ServeArgs) -> Result<ServePlan, CliError> {
    let Some(file) = &args.config else { return ServePlan::new(args) };
    match args.given.iter().find(|given| !BESIDE_CONFIG.contains(&given.flag.as_str())) {
        Some(GivenFlag { flag, .. }) => {
            Err(CliError::Usage(format!("--config says it all: write it there instead of {flag}")))
        }
        None => config::read(file),
    }
}

fn run(plan: ServePlan) -> Result<(), CliError> {
    process::raise_descriptor_limit();
    let mut engine = AnyEngine::new(plan.engine, plan.limits)?;
    obey_signals(&mut engine)?;
    let addresses = bind(&mut engine, plan.services, plan.has_table)?;
    // A server serves, whether or not anybody wants to know where.
    if let Err(failure) = stdout::print(&addresses) {
        log::warn!("{failure}");
    }
    let stats = engine.run()?;
    log::info!("stopped: {stats}");
    Ok(())
}

/// Before anything is bound: a signal that finds no handler ends the process and leaves the files of its sockets behind.
fn obey_signals(engine: &mut AnyEngine) -> Result<(), CliError> {
    signals::watch(engine).map_err(|error| CliError::Failed(format!("cannot watch for signals: {error}")))
}

/// Binds all; returns the lines that say where, and how to try it.
fn bind(engine: &mut AnyEngine, services: Vec<PlannedService>, has_table: bool) -> Result<String, CliError> {
    let (mut addresses, mut rows) = (String::new(), Vec::new());
    for PlannedService { builtin, args, service, listeners } in services {
        let service = engine.add_service(builtin.name, service);
        for (endpoint, framing) in listeners {
            let bound = engine.listen(service, &endpoint, framing)?;
            // Writing to a string does not fail.
            let _ = writeln!(addresses, "listening {} {bound}", builtin.name);
            rows.push(examples::row(builtin, &args, &bound, framing));
        }
        if builtin.name == "chat" && args.has_console() {
            attach_console(engine, service)?;
        }
    }
    Ok(if has_table { addresses + "\n" + &examples::table(&rows) } else { addresses })
}

/// Makes standard input and output the operator's.
#[cfg(unix)]
fn attach_console(engine: &mut AnyEngine, service: ServiceId) -> Result<(), CliError> {
    use std::os::fd::AsFd;

    let own =
        |stream: io::Result<_>| stream.map_err(|error| CliError::Failed(format!("cannot have a console: {error}")));
    let input = own(io::stdin().as_fd().try_clone_to_owned())?;
    let output = own(io::stdout().as_fd().try_clone_to_owned())?;
    Ok(engine.attach(service, input, output, Framing::Lines)?)
}

#[cfg(not(unix))]
fn attach_console(_engine: &mut AnyEngine, _service: ServiceId) -> Result<(), CliError> {
    Err(CliError::Usage("--console is not there on this system".to_owned()))
}
