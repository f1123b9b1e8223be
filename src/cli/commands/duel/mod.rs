//! `switchboard duel`: runs both engines under the same load, again and again, and says who is ahead where, and how sure that is.
//!
//! [`args`] is what was typed and [`plan`] what it means. [`run`] starts servers and puts the load on them, while the [`bar`] shows
//! how far it is. Every run goes into the [`record`]; [`compare`] makes ratios of it by [`statistics`], [`verdict`] makes
//! sentences of ratios, and [`remark`] says what limits them. The [`table`], the JSON and the page ([`html`]) show nothing that is
//! not in the record.

mod args;
mod bar;
mod compare;
mod html;
mod metric;
mod plan;
mod record;
mod remark;
mod run;
mod statistics;
mod table;
mod verdict;
mod words;

use std::process::ExitCode;

use switchboard::load::Activity;

use crate::cli::error::CliError;
use crate::cli::process::{self, CpuAssignment, Interrupt, MachineInfo, PinnedCpus};
use crate::cli::report::file::ReportFile;
use crate::cli::report::rates::nanos;
use crate::cli::report::words::{command, now};
use crate::cli::terminal::stdout;
pub(in crate::cli) use args::DuelArgs;
use bar::Bar;
use plan::Plan;
use record::{Record, SCHEMA, Setup};
use run::{Arena, Miss};

/// Measures, and tells. The exit code says whether every answer was right.
pub(in crate::cli) fn duel(typed: DuelArgs, quiet: bool) -> Result<ExitCode, CliError> {
    let plan = Plan::new(typed)?;
    let html = plan.html.as_deref().map(ReportFile::open).transpose()?;
    let interrupt = Interrupt::watch()?;
    process::raise_descriptor_limit();
    let pinning = place(&plan)?;
    let mut record = empty(&plan, pinning.as_ref());
    let failed = measure(&plan, pinning.as_ref(), &interrupt, quiet, &mut record);
    record.interrupted = interrupt.is_raised();
    record.findings = remark::findings(&record);
    record.remarks = remark::remarks(&record);
    tell(&plan, &record, html, failed.is_some())?;
    match (interrupt.exit_code(), failed) {
        (Some(code), _) => Ok(code),
        (None, Some(what)) => Err(CliError::Failed(what)),
        (None, None) if !record.is_faultless() => Err(CliError::Failed("not every answer was right".to_owned())),
        (None, None) if record.whole().next().is_none() => {
            Err(CliError::Failed("not one point could be measured".to_owned()))
        }
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// Where servers and load run. The load is this thread, and stays where it is put.
fn place(plan: &Plan) -> Result<Option<CpuAssignment>, CliError> {
    let pinning = CpuAssignment::divide().filter(|_| plan.pin);
    if let Some(pinning) = &pinning {
        let cannot = |error| CliError::Failed(format!("cannot place the load: {error}; try --no-pin"));
        pinning.pin_load().map_err(cannot)?;
    }
    Ok(pinning)
}

/// All points, as far as it comes; why it came no further, if it is nobody's wish.
fn measure(
    plan: &Plan,
    pinning: Option<&CpuAssignment>,
    interrupt: &Interrupt,
    quiet: bool,
    record: &mut Record,
) -> Option<String> {
    let bar = Bar::new(plan, quiet);
    let arena = Arena { plan, pinning, interrupt, bar: &bar };
    for (index, connections) in plan.connections.iter().enumerate() {
        let (point, miss) = arena.point(*connections);
        bar.end_point(index + 1);
        record.points.push(point);
        match miss {
            None => {}
            Some(Miss::Interrupted) => break,
            Some(Miss::Beyond(what) | Miss::Failed(what)) => {
                bar.clear();
                return Some(what);
            }
        }
    }
    bar.clear();
    None
}

fn tell(plan: &Plan, record: &Record, html: Option<ReportFile>, failed: bool) -> Result<(), CliError> {
    // Half a duel is of use; nothing of one is not.
    if record.whole().next().is_none() && (record.interrupted || failed) {
        if record.interrupted {
            log::warn!("ended before any point was whole: there is nothing to tell");
        }
        return Ok(());
    }
    let cannot = |error: serde_json::Error| CliError::Failed(format!("the result cannot be written down: {error}"));
    stdout::print(&if plan.json { record.json().map_err(cannot)? } else { table::text(record) })?;
    match html {
        Some(file) => file.write(html::page(record).as_bytes()),
        None => Ok(()),
    }
}

/// All but what is measured.
fn empty(plan: &Plan, pinning: Option<&CpuAssignment>) -> Record {
    let (in_flight, rate_per_second) = match plan.activity {
        Activity::Closed { in_flight } => (Some(in_flight), None),
        Activity::Open { rate } => (None, Some(rate)),
        _ => (None, None),
    };
    Record {
        schema: SCHEMA,
        command: command(std::env::args_os()),
        started_at: now(),
        machine: MachineInfo::this(),
        setup: Setup {
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
        remarks: Vec::new(),
    }
}
