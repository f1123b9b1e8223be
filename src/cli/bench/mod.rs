//! `switchboard bench`: puts a load on a server and says what came of it.
//!
//! [`args`] is what was typed and [`plan`] what it means. [`server`] finds or starts the server, the library's load generator does
//! the work, and [`watch`] looks on. [`tell`] writes the outcome down as a [`record`], from which everything is made that is shown:
//! the [`table`], JSON, [`samples`] as CSV and the page ([`html`]); only the [`hdr`] log needs the histograms themselves.

mod args;
mod hdr;
mod html;
mod plan;
mod record;
mod samples;
mod server;
mod table;
mod tell;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;
mod words;

use std::io;
use std::process::ExitCode;

use switchboard::bench::{self, MaxRate, Outcome};
use switchboard::{Endpoint, descriptor_limit};

use super::failure::Failure;
use super::limits;
use super::measure::{Interrupt, Machine};
use super::output;
use super::report::file::Output;
use super::report::words::{command, now};
pub(super) use args::BenchArgs;
use plan::{Plan, Show};
use record::Record;
use server::Target;
use tell::Run;
use watch::Watcher;

/// Measures, and tells; the exit code says whether every answer was right.
pub(super) fn bench(typed: BenchArgs, quiet: bool) -> Result<ExitCode, Failure> {
    let plan = Plan::new(typed)?;
    let hdr = plan.hdr.as_deref().map(Output::open).transpose()?;
    let html = plan.html.as_deref().map(Output::open).transpose()?;
    let interrupt = Interrupt::watch()?;
    have_descriptors(&plan)?;

    let started_at = now();
    let mut server = Target::of(&plan)?;
    let about = tell::About {
        command: command(std::env::args_os()),
        started_at,
        machine: Machine::this(),
        target: tell::target(&plan, &server),
        pid: server.pid,
        interrupted: false,
    };
    let run = measure(&plan, &mut server, &interrupt, quiet);
    // Before anything is told: whatever may go wrong from here on, no server is left behind.
    let stopped = server.stop();
    let Some(run) = run? else {
        log::warn!("it was ended before anything was measured");
        return Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE));
    };

    let about = tell::About { interrupted: interrupt.is_raised(), ..about };
    let record = tell::record(about, &run);
    show(&plan, &record)?;
    if let Some(file) = hdr {
        file.write(&hdr::log(&run.outcome, &record.command, run.readings.began_at).map_err(Failure::Failed)?)?;
    }
    if let Some(file) = html {
        file.write(html::page(&record).as_bytes())?;
    }
    // Not earlier: it takes nothing from what was measured.
    stopped?;
    match (interrupt.exit_code(), verdict::failure(&record)) {
        (Some(code), _) => Ok(code),
        (None, Some(what)) => Err(Failure::Failed(what)),
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// Puts the load on; nothing comes of a search that was ended in its first step.
fn measure(plan: &Plan, server: &mut Target, interrupt: &Interrupt, quiet: bool) -> Result<Option<Run>, Failure> {
    let load = bench::Plan { target: server.endpoint.clone(), ..plan.load.clone() };
    let mut watcher = Watcher::new(server, plan, interrupt, quiet);
    let measured = match plan.find_max {
        None => bench::run(&load, &mut watcher).map(Measured::Run),
        Some(slo) => bench::find_max(&load, &slo, &mut watcher).map(Measured::Search),
    };
    let (readings, steps) = watcher.finish();
    let ended_early = readings.ended_early;
    if let Some(what) = server.ended() {
        return Err(Failure::Failed(what));
    }
    Ok(match measured.map_err(|error| explain(&error, &load.target))? {
        Measured::Run(outcome) => Some(Run { load, outcome, readings, search: None }),
        Measured::Search(found) => Run::of_search(load, found, steps, ended_early),
    })
}

#[expect(clippy::large_enum_variant, reason = "there is one, once")]
enum Measured {
    Run(Outcome),
    Search(MaxRate),
}

fn show(plan: &Plan, record: &Record) -> Result<(), Failure> {
    let cannot = |what: &dyn std::fmt::Display| Failure::Failed(format!("the result cannot be written down: {what}"));
    output::print(&match plan.show {
        Show::Table => table::text(record),
        Show::Json => record.json().map_err(|error| cannot(&error))?,
        Show::Csv => samples::csv(record).map_err(|error| cannot(&error))?,
    })
}

/// Sees to it before the run that its connections can be had.
fn have_descriptors(plan: &Plan) -> Result<(), Failure> {
    limits::raise_descriptor_limit();
    match descriptor_limit() {
        Some(limit) if limit < plan.descriptors() => Err(Failure::Failed(format!(
            "{} connections need {} descriptors and this process may have {limit}: raise it with 'ulimit -n {}' in a shell that \
             may, or ask for fewer",
            plan.load.connections + plan.load.slow_readers,
            plan.descriptors(),
            plan.descriptors(),
        ))),
        _ => Ok(()),
    }
}

/// Why there was no run, with what to do about it.
fn explain(error: &bench::Error, target: &Endpoint) -> Failure {
    let what = match error {
        // It begins with the flag's name.
        bench::Error::Plan(what) => return Failure::Usage(format!("--{what}")),
        bench::Error::Connect(error) => {
            let advice = match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    ": is a server listening there? Without an address, bench starts one of its own"
                }
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    ": is it the right address, and may packets go there?"
                }
                io::ErrorKind::AddrNotAvailable => ": this machine has no more ports for connections to one address",
                io::ErrorKind::PermissionDenied => ": may this user connect there?",
                _ => "",
            };
            format!("cannot connect to {target}: {error}{advice}")
        }
        other => other.to_string(),
    };
    Failure::Failed(what)
}
