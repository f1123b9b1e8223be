//! Binds what the plan says, says where, and runs the loop.

use std::fmt::Write;

use switchboard::Reactor;

use super::failure::Failure;
use super::output;
use super::plan::{Plan, Planned};
use super::signals;

pub(super) fn serve(plan: Plan) -> Result<(), Failure> {
    if let Err(error) = switchboard::raise_descriptor_limit() {
        log::warn!("the limit on open descriptors stays as it is: {error}");
    }
    let mut reactor = Reactor::new(plan.limits)?;
    obey_signals(&mut reactor)?;
    let addresses = bind(&mut reactor, &plan.services)?;
    // A server serves, whether or not anybody wants to know where.
    if let Err(failure) = output::print(&addresses) {
        log::warn!("{failure}");
    }
    let stats = reactor.run()?;
    log::info!("stopped: {stats}");
    Ok(())
}

/// Before anything is bound: a signal that finds no handler ends the process and leaves the files of its sockets behind.
fn obey_signals(reactor: &mut Reactor) -> Result<(), Failure> {
    signals::watch(reactor).map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))
}

/// Binds all; returns the lines that say where.
fn bind(reactor: &mut Reactor, services: &[Planned]) -> Result<String, Failure> {
    let mut addresses = String::new();
    for Planned { builtin, listeners } in services {
        let service = (builtin.add)(reactor, builtin.name);
        for (endpoint, framing) in listeners {
            let bound = reactor.listen(service, endpoint, *framing)?;
            // Writing to a string does not fail.
            let _ = writeln!(addresses, "listening {} {bound}", builtin.name);
        }
    }
    Ok(addresses)
}
