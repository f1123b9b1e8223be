//! `switchboard duel`: measures both engines under the same load and reports which one leads, by
//! how much, and with what confidence.
//!
//! The data flows in one direction:
//!
//! 1. [`args`] holds the typed arguments, and [`plan`] their meaning.
//! 2. [`runner`] measures each point: one run of `bench` for each round and engine.
//! 3. [`compare`] turns the runs of a point into ratios with the help of [`statistics`].
//! 4. [`verdicts`] has one line for each headline [`metric`], and [`notes`] names what limits the
//!    figures.
//! 5. The JSON and the [`report`] for the terminal and the page show only what is in the
//!    [`record`].

pub(crate) mod args;
mod compare;
mod metric;
mod notes;
mod plan;
mod plots;
mod record;
mod report;
mod runner;
mod statistics;
#[cfg(test)]
mod tests;
mod verdicts;

use std::process::ExitCode;

use super::bench::command::{log_remarks, pin_load};
use super::bench::progress::RunProgress;
use super::bench::result::LoadRecord;
use super::bench::watcher::RunSetup;
use crate::cli::error::CliError;
use crate::cli::process::{self, Interrupt, PinnedCpus};
use crate::cli::report::output::ReportOutput;
use crate::cli::report::record::RecordHeader;
use args::DuelArgs;
use plan::DuelPlan;
use record::{DuelRecord, DuelSetup};
use runner::{PointError, measure_point};

/// Measures both engines and prints the report. The exit code is 0 if every answer was right.
pub(crate) fn duel(args: DuelArgs, quiet: bool) -> Result<ExitCode, CliError> {
    let (service, json, html) = (args.service, args.report.json, args.report.html.clone());
    let plan = DuelPlan::new(args)?;
    let output = ReportOutput::open(json, html, &[])?;
    plan.largest_load().iter().for_each(log_remarks);
    let interrupt = Interrupt::watch()?;
    process::raise_descriptor_limit();
    let pinning = pin_load(plan.pin)?;
    let mut record = DuelRecord {
        header: RecordHeader::new(),
        setup: DuelSetup {
            service,
            framing: plan.load.framing.to_string(),
            load: LoadRecord { connections: None, ..LoadRecord::from(&plan.load) },
            work_us: plan.work_us,
            rounds: plan.rounds,
            pinned: pinning.as_ref().map(PinnedCpus::from),
        },
        confidence: statistics::confidence(plan.rounds),
        points: Vec::new(),
        findings: Vec::new(),
        notes: Vec::new(),
    };
    let progress = RunProgress::new(plan.connections.len() * plan.runs_per_point(), quiet);
    let setup = RunSetup { pinning: pinning.as_ref(), interrupt: &interrupt, progress: &progress };
    let error = measure(&plan, &setup, &mut record);
    progress.clear();
    record.header.interrupted = interrupt.is_raised();
    record.findings = verdicts::verdicts(&record);
    record.notes = notes::notes(&record);
    report(&record, output, error.is_some())?;
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

/// Measures all points, and adds them to `record`. Returns the error that stopped it before the
/// last point, except for a signal.
fn measure(plan: &DuelPlan, setup: &RunSetup<'_>, record: &mut DuelRecord) -> Option<String> {
    for (index, connections) in plan.connections.iter().enumerate() {
        let (point, error) = measure_point(plan, setup, *connections);
        setup.progress.set_finished_runs((index + 1) * plan.runs_per_point());
        record.points.push(point);
        match error {
            None => {}
            Some(PointError::Interrupted) => break,
            Some(PointError::Unavailable(text) | PointError::Failed(text)) => return Some(text),
        }
    }
    None
}

/// Writes the report in every form that the arguments ask for.
fn report(record: &DuelRecord, output: ReportOutput, failed: bool) -> Result<(), CliError> {
    // A report needs at least one complete point to compare.
    if record.complete_points().next().is_none() && (record.header.interrupted || failed) {
        if record.header.interrupted {
            log::warn!("duel ended before any point was complete: no result");
        }
        return Ok(());
    }
    output.write(&report::report(record), record)
}
