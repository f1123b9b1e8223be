//! `switchboard duel`: measures both engines under the same load and reports which one leads, by
//! how much, and with what confidence.
//!
//! The data flows in one direction:
//!
//! 1. [`args`] holds the typed arguments, and [`plan`] their meaning.
//! 2. [`runner`] starts servers and puts the load on them. Its [`watcher`] samples the server
//!    process, and [`progress`] shows the progress on a terminal. Each run becomes part of the
//!    [`record`].
//! 3. [`compare`] turns the runs of a point into ratios with the help of [`statistics`].
//! 4. [`findings`] turns ratios into sentences by the rules of [`verdict`], and [`notes`] adds what
//!    limits the figures.
//! 5. The [`table`], the JSON and the page ([`html`]) show only what is in the record.

pub(crate) mod args;
mod compare;
mod findings;
mod format;
mod html;
mod metric;
mod notes;
mod plan;
mod progress;
mod record;
mod runner;
mod statistics;
mod table;
#[cfg(test)]
mod tests;
mod verdict;
mod watcher;

use std::process::ExitCode;

use switchboard::load::Activity;

use crate::cli::error::CliError;
use crate::cli::process;
use crate::cli::process::{CpuAssignment, Interrupt, MachineInfo, PinnedCpus};
use crate::cli::report::file::ReportFile;
use crate::cli::report::rates::nanos;
use crate::cli::report::text::{local_time, quoted_command};
use crate::cli::terminal::stdout;
use args::DuelArgs;
use plan::DuelPlan;
use progress::DuelProgress;
use record::{DuelRecord, DuelSetup, SCHEMA};
use runner::{DuelRunner, RunError};

/// Measures both engines and prints the report. The exit code is 0 if every answer was right.
pub(crate) fn duel(args: DuelArgs, quiet: bool) -> Result<ExitCode, CliError> {
    let plan = DuelPlan::new(args)?;
    let html = plan.html.as_deref().map(ReportFile::open).transpose()?;
    let interrupt = Interrupt::watch()?;
    process::raise_descriptor_limit();
    let pinning = pin_load(&plan)?;
    let mut record = empty_record(&plan, pinning.as_ref());
    let error = measure(&plan, pinning.as_ref(), &interrupt, quiet, &mut record);
    record.interrupted = interrupt.is_raised();
    record.findings = findings::findings(&record);
    record.notes = notes::notes(&record);
    report(&plan, &record, html, error.is_some())?;
    match (interrupt.exit_code(), error) {
        (Some(code), _) => Ok(code),
        (None, Some(error)) => Err(CliError::Failed(error)),
        (None, None) if !record.is_faultless() => Err(CliError::Failed("not every answer was right".to_owned())),
        (None, None) if record.complete_points().next().is_none() => {
            Err(CliError::Failed("no point could be measured; the notes above name the reasons".to_owned()))
        }
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// Divides the processors between server and load, and pins this thread, which generates the load.
fn pin_load(plan: &DuelPlan) -> Result<Option<CpuAssignment>, CliError> {
    let pinning = CpuAssignment::divide().filter(|_| plan.pin);
    if let Some(pinning) = &pinning {
        pinning.pin_load().map_err(|error| {
            CliError::Failed(format!("cannot set the processor of the load: {error}; try --no-pin"))
        })?;
    }
    Ok(pinning)
}

/// Measures all points, and adds them to `record`. Returns the error that stopped it before the
/// last point, except for a signal.
fn measure(
    plan: &DuelPlan,
    pinning: Option<&CpuAssignment>,
    interrupt: &Interrupt,
    quiet: bool,
    record: &mut DuelRecord,
) -> Option<String> {
    let progress = DuelProgress::new(plan, quiet);
    let runner = DuelRunner { plan, pinning, interrupt, progress: &progress };
    for (index, connections) in plan.connections.iter().enumerate() {
        let (point, error) = runner.measure_point(*connections);
        progress.end_point(index + 1);
        record.points.push(point);
        match error {
            None => {}
            Some(RunError::Interrupted) => break,
            Some(RunError::Unavailable(text) | RunError::Failed(text)) => {
                progress.clear();
                return Some(text);
            }
        }
    }
    progress.clear();
    None
}

/// Prints the report and writes the page.
fn report(plan: &DuelPlan, record: &DuelRecord, html: Option<ReportFile>, failed: bool) -> Result<(), CliError> {
    // A report needs at least one complete point to compare.
    if record.complete_points().next().is_none() && (record.interrupted || failed) {
        if record.interrupted {
            log::warn!("duel ended before any point was complete: no result");
        }
        return Ok(());
    }
    let render_error = |error: serde_json::Error| CliError::Failed(format!("cannot write the result: {error}"));
    stdout::print(&if plan.json { record.json().map_err(render_error)? } else { table::render(record) })?;
    match html {
        Some(file) => file.write(html::page(record).as_bytes()),
        None => Ok(()),
    }
}

/// Returns the record before the first run.
fn empty_record(plan: &DuelPlan, pinning: Option<&CpuAssignment>) -> DuelRecord {
    let (in_flight, rate_per_second) = match plan.activity {
        Activity::Closed { in_flight } => (Some(in_flight), None),
        Activity::Open { rate } => (None, Some(rate)),
        _ => (None, None),
    };
    DuelRecord {
        schema: SCHEMA,
        command: quoted_command(std::env::args_os()),
        started_at: local_time(),
        machine: MachineInfo::current(),
        setup: DuelSetup {
            service: plan.service,
            framing: plan.framing.to_string(),
            payload_min_bytes: *plan.payload_bytes.start(),
            payload_max_bytes: *plan.payload_bytes.end(),
            in_flight,
            rate_per_second,
            work_us: plan.work_us,
            duration_ns: nanos(plan.duration),
            warm_up_ns: nanos(plan.warm_up),
            rounds: plan.rounds,
            pinned: pinning.map(PinnedCpus::from),
        },
        confidence: statistics::confidence(plan.rounds),
        interrupted: false,
        points: Vec::new(),
        findings: Vec::new(),
        notes: Vec::new(),
    }
}
