//! One run: a server, the load on it, and the result.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use switchboard::Endpoint;
use switchboard::load::chat::{self, ChatOutcome};
use switchboard::load::{self, Activity, LoadOutcome, MaxRate, StepVerdict};

use super::build_result::{percentiles, run_result, sample_record, search_record};
use super::plan::{BenchPlan, PlannedLoad};
use super::result::{LoadRecord, PercentileRecord, RunResult, SampleRecord, SearchRecord, TargetRecord};
use super::run_error::RunError;
use super::server::BenchServer;
use super::server_source::ServerSource;
use super::watcher::{EarlyEnd, RunReadings, RunSetup, RunWatcher};
use crate::cli::process::{CpuAssignment, PinnedCpus};
use crate::cli::report::figure;

/// A run that was measured.
pub(crate) struct MeasuredRun {
    pub(crate) target: TargetRecord,
    pub(crate) load: LoadRecord,
    pub(crate) result: RunResult,
    pub(crate) percentiles: Vec<PercentileRecord>,
    pub(crate) samples: Vec<SampleRecord>,
    pub(crate) find_max: Option<SearchRecord>,
    pub(crate) histograms: RunHistograms,
    /// The error of a spawned server that did not stop as it should. The figures are valid.
    pub(crate) stopped: Result<(), String>,
}

/// The histograms of a run, in nanoseconds.
pub(crate) struct RunHistograms {
    pub(crate) latency: Histogram<u64>,
    pub(crate) connects: Histogram<u64>,
    pub(crate) send_lag: Histogram<u64>,
    /// Start of the measured time.
    pub(crate) began_at: SystemTime,
    /// Length of the measured time.
    pub(crate) elapsed: Duration,
}

/// The outcome of any load.
enum AnyOutcome {
    Echo(LoadOutcome),
    FindMax(MaxRate),
    Chat(LoadOutcome<ChatOutcome>),
}

/// Finds or starts the server, puts the load on it, and stops it. `None` if the run ended before
/// anything was measured.
pub(crate) fn measure(plan: &BenchPlan, setup: &RunSetup<'_>) -> Result<Option<MeasuredRun>, RunError> {
    let mut server = BenchServer::new(plan, setup.pinning).map_err(RunError::Failed)?;
    let target = target_record(plan, &server, setup.pinning);
    let endpoint = server.endpoint.clone();
    let at = || endpoint.clone();
    let mut watcher = RunWatcher::new(&mut server, plan, setup);
    let outcome = match &plan.load {
        PlannedLoad::Echo(load) => {
            load::run(&load::LoadConfig { target: at(), ..load.clone() }, &mut watcher).map(AnyOutcome::Echo)
        }
        PlannedLoad::FindMax(load, slo) => {
            load::find_max(&load::LoadConfig { target: at(), ..load.clone() }, slo, &mut watcher)
                .map(AnyOutcome::FindMax)
        }
        PlannedLoad::Chat(load) => {
            chat::run(&chat::ChatLoadConfig { target: at(), ..load.clone() }, &mut watcher).map(AnyOutcome::Chat)
        }
    };
    let (readings, steps) = watcher.finish();
    // Stop the server before the report: an error from here on must not leave it running.
    let (exit_error, warning) = (server.exit_error(), server.last_warning());
    let stopped = server.stop();
    if let Some(error) = exit_error {
        return Err(RunError::Failed(error));
    }
    let outcome = outcome.map_err(|error| RunError::of_load(error, &endpoint))?;
    if let Some(EarlyEnd::TooFewConnections(opened)) = readings.ended_early {
        return Err(RunError::Unavailable(connections_error(opened, plan.load.connections(), warning)));
    }
    Ok(match outcome {
        AnyOutcome::Echo(outcome) => Some(measured_run(plan, target, outcome, None, &readings, stopped)),
        AnyOutcome::Chat(outcome) => {
            let chat = outcome.workload.clone();
            Some(measured_run(plan, target, outcome, Some(&chat), &readings, stopped))
        }
        AnyOutcome::FindMax(result) => found_run(plan, target, result, &readings, steps, stopped),
    })
}

fn measured_run<W>(
    plan: &BenchPlan,
    target: TargetRecord,
    outcome: LoadOutcome<W>,
    chat: Option<&ChatOutcome>,
    readings: &RunReadings,
    stopped: Result<(), String>,
) -> MeasuredRun {
    let load = plan.load.record();
    MeasuredRun {
        result: run_result(&outcome, chat, readings, &target, load.slow_readers),
        target,
        load,
        percentiles: percentiles(&outcome.latency),
        samples: outcome.samples.iter().map(sample_record).collect(),
        find_max: None,
        histograms: RunHistograms {
            latency: outcome.latency,
            connects: outcome.connects,
            send_lag: outcome.generator.send_lag,
            began_at: readings.began_at,
            elapsed: outcome.elapsed,
        },
        stopped,
    }
}

/// Returns the run at the rate that a search found, or its last run if the objective held at no
/// rate. `None` if no run was completed.
fn found_run(
    plan: &BenchPlan,
    target: TargetRecord,
    result: MaxRate,
    last: &RunReadings,
    steps: Vec<RunReadings>,
    stopped: Result<(), String>,
) -> Option<MeasuredRun> {
    let search = search_record(&result, &steps);
    let held = result.steps.iter().enumerate().filter(|(_, step)| step.verdict == StepVerdict::Holds);
    let best = held.max_by(|(_, one), (_, other)| one.rate.total_cmp(&other.rate)).map(|(index, _)| index);
    let index = best.or(result.steps.len().checked_sub(1))?;
    let (step, mut readings) = result.steps.into_iter().zip(steps).nth(index)?;
    // The shown run was completed; only the search ended early.
    readings.ended_early = last.ended_early;
    let mut run = measured_run(plan, target, step.outcome, None, &readings, stopped);
    run.load.set_activity(Activity::Open { rate: step.rate });
    run.find_max = Some(search);
    Some(run)
}

fn target_record(plan: &BenchPlan, server: &BenchServer, pinning: Option<&CpuAssignment>) -> TargetRecord {
    let engine = match &plan.server {
        ServerSource::Spawned { engine, .. } => Some(engine.name().to_owned()),
        ServerSource::Existing { .. } => None,
    };
    TargetRecord {
        service: plan.load.service(),
        transport: server.endpoint.transport(),
        address: server.endpoint.address().to_string(),
        framing: (!matches!(server.endpoint, Endpoint::Udp(_))).then(|| plan.framing.to_string()),
        own: engine.is_some(),
        engine,
        pinned: pinning.map(PinnedCpus::from),
    }
}

/// Returns the error for a run in which not all connections could be opened.
fn connections_error(opened: usize, wanted: usize, warning: Option<String>) -> String {
    let warning = warning.map(|warning| format!("; the server's last warning: '{warning}'")).unwrap_or_default();
    let (opened, wanted) = (figure::count(opened as u64), figure::count(wanted as u64));
    format!("only {opened} of {wanted} connections could be opened{warning}")
}
