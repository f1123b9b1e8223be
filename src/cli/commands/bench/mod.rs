//! `switchboard bench`: puts a load on a server and says what came of it.
//!
//! [`args`] is what was typed and [`plan`] what it means; [`setting`] is what every measurement is told. [`server`] finds or starts
//! the server, the library's load generator does the work, and [`watch`] looks on. [`tell`] writes the outcome down as a [`record`],
//! from which everything is made that is shown: the [`table`], JSON, [`samples`] as CSV and the page ([`html`], with its
//! [`plots`]); only the [`hdr`] log needs the histograms themselves. All this is about `bench echo`; [`chat`] is its sibling and
//! uses what it can of it.

mod args;
mod chat;
mod hdr;
mod html;
mod notes;
mod plan;
mod plots;
mod record;
mod samples;
mod server;
mod setting;
mod table;
mod tell;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;
mod words;

use std::io;
use std::process::ExitCode;

use switchboard::load::{self, LoadOutcome, MaxRate};
use switchboard::{Endpoint, descriptor_limit};

use crate::cli::error::CliError;
use crate::cli::process::{self, Interrupt, MachineInfo};
use crate::cli::report::file::ReportFile;
use crate::cli::report::words::{command, now};
use crate::cli::terminal::stdout;
pub(in crate::cli) use args::BenchCommand;
use plan::Plan;
use server::Target;
use setting::{Setting, Show};
use tell::{About, Run};
use watch::Watcher;

/// Measures, and tells; the exit code says whether every answer was right.
pub(in crate::cli) fn bench(typed: BenchCommand, quiet: bool) -> Result<ExitCode, CliError> {
    match typed {
        BenchCommand::Echo(typed) => carry_out(&Plan::new(*typed)?, quiet),
        BenchCommand::Chat(typed) => carry_out(&chat::Plan::new(*typed)?, quiet),
    }
}

/// What one service's load adds to a measurement.
trait Measurement {
    /// What was measured.
    type Run;

    fn setting(&self) -> &Setting;

    /// Puts the load on; none if it was ended before anything was measured.
    fn measure(&self, server: &mut Target, interrupt: &Interrupt, quiet: bool) -> Result<Option<Self::Run>, CliError>;

    /// Puts the result into words.
    fn tell(&self, about: About, run: &Self::Run) -> Result<Told, CliError>;
}

/// A result in words.
struct Told {
    /// What is printed.
    shown: String,
    /// The log of latencies, if it is asked for.
    hdr: Option<Vec<u8>>,
    /// The page, if it is asked for.
    html: Option<String>,
    /// Why the exit code is not zero, if it is not.
    failure: Option<String>,
}

/// Does everything that is done around a load.
fn carry_out<M: Measurement>(measurement: &M, quiet: bool) -> Result<ExitCode, CliError> {
    let setting = measurement.setting();
    let hdr = setting.hdr.as_deref().map(ReportFile::open).transpose()?;
    let html = setting.html.as_deref().map(ReportFile::open).transpose()?;
    let interrupt = Interrupt::watch()?;
    have_descriptors(setting)?;

    let started_at = now();
    let mut server = Target::of(setting)?;
    let about = About {
        command: command(std::env::args_os()),
        started_at,
        machine: MachineInfo::this(),
        target: tell::target(setting, &server),
        pid: server.pid,
        interrupted: false,
    };
    let run = measurement.measure(&mut server, &interrupt, quiet);
    // Before anything is told: whatever may go wrong from here on, no server is left behind.
    let stopped = server.stop();
    let Some(run) = run? else {
        log::warn!("it was ended before anything was measured");
        return Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE));
    };

    let told = measurement.tell(About { interrupted: interrupt.is_raised(), ..about }, &run)?;
    stdout::print(&told.shown)?;
    if let (Some(file), Some(log)) = (hdr, told.hdr) {
        file.write(&log)?;
    }
    if let (Some(file), Some(page)) = (html, told.html) {
        file.write(page.as_bytes())?;
    }
    // Not earlier: it takes nothing from what was measured.
    stopped?;
    match (interrupt.exit_code(), told.failure) {
        (Some(code), _) => Ok(code),
        (None, Some(what)) => Err(CliError::Failed(what)),
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

impl Measurement for Plan {
    type Run = Run;

    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn measure(&self, server: &mut Target, interrupt: &Interrupt, quiet: bool) -> Result<Option<Run>, CliError> {
        measure(self, server, interrupt, quiet)
    }

    fn tell(&self, about: About, run: &Run) -> Result<Told, CliError> {
        let record = tell::record(about, run);
        let outcome = &run.outcome;
        let intervals = [
            (&outcome.latency, None),
            (&outcome.connects, Some("connect")),
            (&outcome.generator.send_lag, Some("send-lag")),
        ];
        let log = |_| hdr::log(intervals, outcome.elapsed, &record.command, run.readings.began_at);
        Ok(Told {
            shown: match self.setting.show {
                Show::Table => table::text(&record),
                Show::Json => record.json().map_err(|error| unwritable(&error))?,
                Show::Csv => samples::csv(&record.samples).map_err(|error| unwritable(&error))?,
            },
            hdr: self.setting.hdr.as_ref().map(log).transpose().map_err(CliError::Failed)?,
            html: self.setting.html.as_ref().map(|_| html::page(&record)),
            failure: verdict::failure(&record),
        })
    }
}

/// Puts the load on; nothing comes of a search that was ended in its first step.
fn measure(plan: &Plan, server: &mut Target, interrupt: &Interrupt, quiet: bool) -> Result<Option<Run>, CliError> {
    let load = load::LoadConfig { target: server.endpoint.clone(), ..plan.load.clone() };
    let lasting = !matches!(load.activity, load::Activity::Churn);
    let mut watcher = Watcher::new(server, lasting, interrupt, quiet);
    let measured = match plan.find_max {
        None => load::run(&load, &mut watcher).map(Measured::Run),
        Some(slo) => load::find_max(&load, &slo, &mut watcher).map(Measured::Search),
    };
    let (readings, steps) = watcher.finish();
    let ended_early = readings.ended_early;
    if let Some(what) = server.ended() {
        return Err(CliError::Failed(what));
    }
    Ok(match measured.map_err(|error| explain(&error, &load.target))? {
        Measured::Run(outcome) => Some(Run { load, outcome, readings, search: None }),
        Measured::Search(found) => Run::of_search(load, found, steps, ended_early),
    })
}

#[expect(clippy::large_enum_variant, reason = "there is one, once")]
enum Measured {
    Run(LoadOutcome),
    Search(MaxRate),
}

fn unwritable(what: &dyn std::fmt::Display) -> CliError {
    CliError::Failed(format!("the result cannot be written down: {what}"))
}

/// Sees to it before the run that its connections can be had.
fn have_descriptors(setting: &Setting) -> Result<(), CliError> {
    process::raise_descriptor_limit();
    let needed = setting.descriptors();
    match descriptor_limit() {
        Some(limit) if limit < needed => Err(CliError::Failed(format!(
            "{} connections need {needed} descriptors and this process may have {limit}: raise it with 'ulimit -n {needed}' in a \
             shell that may, or ask for fewer",
            setting.connections,
        ))),
        _ => Ok(()),
    }
}

/// Why there was no run, with what to do about it.
fn explain(error: &load::LoadError, target: &Endpoint) -> CliError {
    let what = match error {
        // It begins with the flag's name.
        load::LoadError::Config(what) => return CliError::Usage(format!("--{what}")),
        load::LoadError::Connect(error) => {
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
    CliError::Failed(what)
}
