//! Running `serve`: binds the plan's addresses, prints them and runs the engine.

use std::fmt::Write;
use std::io;

use switchboard::{Framing, ServiceId};

use super::args::ServeArgs;
use super::plan::{PlannedService, ServePlan};
use super::{config, examples};
use crate::cli::engine::AnyEngine;
use crate::cli::error::CliError;
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
    logging::start(verbosity.level());
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
        Some(option) => {
            Err(CliError::Usage(format!("--{option} cannot be combined with --config: set it in the file")))
        }
        None => config::read(file),
    }
}

fn run(plan: ServePlan) -> Result<(), CliError> {
    process::raise_descriptor_limit();
    let mut engine = AnyEngine::new(plan.engine, plan.limits)?;
    // Before the first bind: a signal without a handler would end the process and leave the files
    // of Unix sockets behind.
    process::signals::send_commands(|command| engine.command_pipe(command))?;
    let addresses = bind(&mut engine, plan.services, plan.prints_examples)?;
    // A server runs even if its standard output cannot be written.
    if let Err(error) = stdout::print(&addresses) {
        log::warn!("{error}");
    }
    let stats = engine.run()?;
    log::info!("stopped: {stats}");
    Ok(())
}

/// Binds all listeners. Returns the text to print: a `listening` line for each, and the table of
/// examples.
fn bind(engine: &mut AnyEngine, services: Vec<PlannedService>, prints_examples: bool) -> Result<String, CliError> {
    let (mut addresses, mut rows) = (String::new(), Vec::new());
    for PlannedService { builtin, args, made: (options, service), listeners } in services {
        let service = engine.add_service(options, service);
        for (endpoint, framing) in listeners {
            let bound = engine.listen(service, &endpoint, framing)?;
            // Writing to a String cannot fail.
            let _ = writeln!(addresses, "listening {} {bound}", builtin.name);
            rows.push(examples::row(builtin, &args, &bound, framing));
        }
        if builtin.name == "chat" && args.has_console() {
            attach_console(engine, service)?;
        }
    }
    Ok(if prints_examples { addresses + "\n" + &examples::table(&rows) } else { addresses })
}

/// Attaches standard input and output to the service as its operator's console.
fn attach_console(engine: &mut AnyEngine, service: ServiceId) -> Result<(), CliError> {
    use std::os::fd::AsFd;

    let own =
        |stream: io::Result<_>| stream.map_err(|error| CliError::Failed(format!("cannot attach the console: {error}")));
    let input = own(io::stdin().as_fd().try_clone_to_owned())?;
    let output = own(io::stdout().as_fd().try_clone_to_owned())?;
    Ok(engine.attach(service, input, output, Framing::Lines)?)
}
