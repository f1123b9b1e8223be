//! Runs a point: for each round and engine a fresh server, its connections, the warm-up, the
//! measured time, and the stop.

use std::time::Duration;

use hdrhistogram::Histogram;
use switchboard::load::{self, Activity, LoadOutcome};

use super::compare::compare;
use super::plan::DuelPlan;
use super::progress::DuelProgress;
use super::record::{DuelEngine, DuelGenerator, DuelPoint, DuelRun, DuelServer, ServerReadings};
use super::watcher::DuelWatcher;
use crate::cli::process::{CpuAssignment, Interrupt, ServeCommand, ServerProcess};
use crate::cli::report::figure;
use crate::cli::report::rates::{bottleneck_name, nanos, per_second};
use crate::cli::report::text::connections_text;

/// Time after which a missing answer counts as lost.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The context of every run of a duel.
pub(super) struct DuelRunner<'a> {
    pub(super) plan: &'a DuelPlan,
    pub(super) pinning: Option<&'a CpuAssignment>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a DuelProgress,
}

/// The reason why a run has no result.
#[derive(Debug)]
pub(super) enum RunError {
    /// A signal stopped the process.
    Interrupted,
    /// This machine cannot provide the connections of the point.
    Unavailable(String),
    /// The measurement itself failed, so further points would fail too.
    Failed(String),
}

impl DuelRunner<'_> {
    /// Runs all rounds of a point. Returns the point and the error that stops the duel.
    pub(super) fn measure_point(&self, connections: usize) -> (DuelPoint, Option<RunError>) {
        let mut point =
            DuelPoint { connections, skipped: None, complete: false, runs: Vec::new(), comparisons: Vec::new() };
        if let Some(reason) = DuelPlan::descriptor_error(connections, switchboard::descriptor_limit()) {
            point.skipped = Some(reason);
            return (point, None);
        }
        for round in 1..=self.plan.rounds {
            for (index, engine) in DuelPlan::order(round).into_iter().enumerate() {
                self.progress.begin_run(connections, round, engine);
                match self.run(connections, engine) {
                    Ok(run) => point.runs.push(DuelRun { round, first: index == 0, ..run }),
                    Err(RunError::Unavailable(reason)) => {
                        point.skipped = Some(format!("{}: {reason}", engine.name()));
                        return (point, None);
                    }
                    Err(RunError::Failed(reason)) => {
                        let reason = format!("{}: {reason}", engine.name());
                        point.skipped = Some(reason.clone());
                        let error = format!("{}, {reason}", connections_text(connections));
                        return (point, Some(RunError::Failed(error)));
                    }
                    Err(RunError::Interrupted) => return (point, Some(RunError::Interrupted)),
                }
                self.progress.end_run();
            }
        }
        log::debug!("point complete: {}", connections_text(connections));
        point.complete = true;
        point.comparisons = compare(&point.runs);
        (point, None)
    }

    fn run(&self, connections: usize, engine: DuelEngine) -> Result<DuelRun, RunError> {
        let mut child = self.start_server(connections, engine)?;
        let Some(target) = child.endpoints().first().cloned() else {
            return Err(RunError::Failed("the server does not listen".to_owned()));
        };
        let load = load::LoadConfig {
            target,
            framing: self.plan.framing,
            connections,
            payload_bytes: self.plan.payload_bytes.clone(),
            activity: self.plan.activity,
            slow_readers: 0,
            ramp: Duration::ZERO,
            warm_up: self.plan.warm_up,
            duration: self.plan.duration,
            reply_timeout: REPLY_TIMEOUT,
            // One seed, so that both engines receive the same bytes.
            seed: 1,
        };
        let mut watcher = DuelWatcher::new(self.progress, self.interrupt, &mut child, connections);
        let outcome = load::run(&load, &mut watcher);
        let DuelWatcher { before, began, ended, too_few_connections, exit_status, .. } = watcher;
        let (log, exit_status) = (child.log(), exit_status.or_else(|| child.exit_status()));
        let stopped = child.stop();
        if self.interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
        if let Some(status) = exit_status {
            let last_line = log.lines().last().map(|line| format!("; its last log line: '{line}'")).unwrap_or_default();
            return Err(RunError::Failed(format!("the server exited during the run: {status}{last_line}")));
        }
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(load::LoadError::Config(text)) => return Err(RunError::Failed(text)),
            Err(error) => return Err(RunError::Unavailable(error.to_string())),
        };
        if let Some(opened) = too_few_connections {
            return Err(RunError::Unavailable(connections_error(opened, connections, &log)));
        }
        stopped.map_err(RunError::Failed)?;
        let readings =
            before.zip(began).zip(ended).map(|((before, began), ended)| ServerReadings { before, began, ended });
        Ok(self.run_record(engine, &outcome, readings.as_ref()))
    }

    fn start_server(&self, connections: usize, engine: DuelEngine) -> Result<ServerProcess, RunError> {
        let args = self.plan.serve_args(engine, connections);
        let start = || {
            ServerProcess::start(ServeCommand { service: self.plan.service, listen: &["127.0.0.1:0"], options: &args })
        };
        let started = match self.pinning {
            Some(pinning) => pinning.on_server(start).map_err(|error| {
                RunError::Failed(format!("cannot set the processors of the server: {error}; try --no-pin"))
            })?,
            None => start(),
        };
        started.map_err(|error| RunError::Failed(format!("cannot start the {} engine: {error}", engine.name())))
    }

    fn run_record(&self, engine: DuelEngine, outcome: &LoadOutcome, readings: Option<&ServerReadings>) -> DuelRun {
        // The reactor is one thread and can use one processor. Threads can use all that the server
        // has.
        let usable_cpus = match engine {
            DuelEngine::Reactor => 1,
            DuelEngine::Threads => self.pinning.map_or_else(available_cpus, |pinning| pinning.server().len()),
        };
        let server = readings.map(|readings| DuelServer::new(readings, outcome, usable_cpus));
        let is_open = matches!(self.plan.activity, Activity::Open { .. });
        let latency = |quantile| quantile_ns(&outcome.latency, quantile);
        DuelRun {
            engine,
            round: 0,
            first: false,
            elapsed_ns: nanos(outcome.elapsed),
            messages: outcome.messages,
            answered: outcome.answered,
            due: is_open.then_some(outcome.due),
            unanswered: is_open.then_some(outcome.unanswered),
            messages_per_second: per_second(outcome.answered, outcome.elapsed),
            p50_ns: latency(0.5),
            p99_ns: latency(0.99),
            p99_9_ns: latency(0.999),
            max_ns: latency(1.0),
            generator: DuelGenerator {
                cpu_ns: nanos(outcome.generator.cpu),
                busy: outcome.generator.busy,
                bottleneck: outcome.bottleneck().map(bottleneck_name),
                send_lag_p99_ns: quantile_ns(&outcome.generator.send_lag, 0.99),
            },
            server,
            faults: outcome.faults,
        }
    }
}

fn quantile_ns(values: &Histogram<u64>, quantile: f64) -> Option<u64> {
    (!values.is_empty()).then(|| values.value_at_quantile(quantile))
}

fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Returns the error for a point at which not all connections could be opened.
fn connections_error(opened: usize, wanted: usize, log: &str) -> String {
    let warning = log.lines().rfind(|line| line.contains("WARN") || line.contains("ERROR"));
    let warning = warning.map(|line| format!("; the server's last warning: '{}'", line.trim())).unwrap_or_default();
    let (opened, wanted) = (figure::count(opened as u64), figure::count(wanted as u64));
    format!("only {opened} of {wanted} connections could be opened{warning}")
}
