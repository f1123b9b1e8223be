//! Binds what the plan says, says where, and runs the engine.

use std::fmt::Write;
use std::io;

use switchboard::{Framing, ServiceId};

use super::engine::Engine;
use super::failure::Failure;
use super::limits;
use super::output;
use super::plan::{Plan, Planned};
use super::signals;
use super::tryout;

pub(super) fn serve(plan: Plan) -> Result<(), Failure> {
    limits::raise_descriptor_limit();
    let mut engine = Engine::new(plan.engine, plan.limits)?;
    obey_signals(&mut engine)?;
    let addresses = bind(&mut engine, plan.services, plan.has_table)?;
    // A server serves, whether or not anybody wants to know where.
    if let Err(failure) = output::print(&addresses) {
        log::warn!("{failure}");
    }
    let stats = engine.run()?;
    log::info!("stopped: {stats}");
    Ok(())
}

/// Before anything is bound: a signal that finds no handler ends the process and leaves the files of its sockets behind.
fn obey_signals(engine: &mut Engine) -> Result<(), Failure> {
    signals::watch(engine).map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))
}

/// Binds all; returns the lines that say where, and how to try it.
fn bind(engine: &mut Engine, services: Vec<Planned>, has_table: bool) -> Result<String, Failure> {
    let (mut addresses, mut rows) = (String::new(), Vec::new());
    for Planned { builtin, wishes, service, listeners } in services {
        let service = engine.add_service(builtin.name, service);
        for (endpoint, framing) in listeners {
            let bound = engine.listen(service, &endpoint, framing)?;
            // Writing to a string does not fail.
            let _ = writeln!(addresses, "listening {} {bound}", builtin.name);
            rows.push(tryout::row(builtin, &wishes, &bound, framing));
        }
        if builtin.name == "chat" && wishes.has_console() {
            attach_console(engine, service)?;
        }
    }
    Ok(if has_table { addresses + "\n" + &tryout::table(&rows) } else { addresses })
}

/// Makes standard input and output the operator's.
#[cfg(unix)]
fn attach_console(engine: &mut Engine, service: ServiceId) -> Result<(), Failure> {
    use std::os::fd::AsFd;

    let own =
        |stream: io::Result<_>| stream.map_err(|error| Failure::Failed(format!("cannot have a console: {error}")));
    let input = own(io::stdin().as_fd().try_clone_to_owned())?;
    let output = own(io::stdout().as_fd().try_clone_to_owned())?;
    Ok(engine.attach(service, input, output, Framing::Lines)?)
}

#[cfg(not(unix))]
fn attach_console(_engine: &mut Engine, _service: ServiceId) -> Result<(), Failure> {
    Err(Failure::Usage("--console is not there on this system".to_owned()))
}
