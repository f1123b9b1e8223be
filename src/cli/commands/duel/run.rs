//! One run: a fresh server, connections, warm-up, measured time, stop. And all runs of a point.

use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::time::Duration;

use hdrhistogram::Histogram;
use switchboard::load::{self, Activity, LoadObserver, LoadOutcome, LoadPhase, LoadProgress};

use super::bar::Bar;
use super::compare::compare;
use super::plan::Plan;
use super::record::{Engine, Generator, Point, Run, Seen, Server};
use crate::cli::process::{CpuAssignment, Interrupt, ProcessProbe, ProcessSample, ServeCommand, ServerProcess};
use crate::cli::report::figure;
use crate::cli::report::rates::{bottleneck, nanos, per_second};
use crate::cli::report::words::connections as at;

/// An answer that has not come after this long is lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where runs take place.
pub(super) struct Arena<'a> {
    pub(super) plan: &'a Plan,
    pub(super) pinning: Option<&'a CpuAssignment>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) bar: &'a Bar,
}

/// Why there is no run.
#[derive(Debug)]
pub(super) enum Miss {
    /// The process has been told to end.
    Interrupted,
    /// So many connections cannot be had here.
    Beyond(String),
    /// Nothing can be measured here.
    Failed(String),
}

impl Arena<'_> {
    /// All rounds of a point; with what kept it from more, if anything did.
    pub(super) fn point(&self, connections: usize) -> (Point, Option<Miss>) {
        let mut point = Point { connections, skipped: None, whole: false, runs: Vec::new(), comparisons: Vec::new() };
        if let Some(why) = Plan::too_many_descriptors(connections, switchboard::descriptor_limit()) {
            point.skipped = Some(why);
            return (point, None);
        }
        for round in 1..=self.plan.rounds {
            for (place, engine) in Plan::order(round).into_iter().enumerate() {
                self.bar.begin(connections, round, engine);
                match self.run(connections, engine) {
                    Ok(run) => point.runs.push(Run { round, first: place == 0, ..run }),
                    Err(Miss::Beyond(why)) => {
                        point.skipped = Some(format!("{}: {why}", engine.name()));
                        return (point, None);
                    }
                    Err(Miss::Failed(why)) => {
                        let why = format!("{}: {why}", engine.name());
                        point.skipped = Some(why.clone());
                        return (point, Some(Miss::Failed(format!("{}, {why}", at(connections)))));
                    }
                    Err(Miss::Interrupted) => return (point, Some(Miss::Interrupted)),
                }
                self.bar.end();
            }
        }
        log::debug!("{} is whole", at(connections));
        point.whole = true;
        point.comparisons = compare(&point.runs);
        (point, None)
    }

    fn run(&self, connections: usize, engine: Engine) -> Result<Run, Miss> {
        let mut child = self.start(connections, engine)?;
        let Some(target) = child.endpoints().first().cloned() else {
            return Err(Miss::Failed("the server does not listen".to_owned()));
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
            answer_timeout: ANSWER_TIMEOUT,
            // The same bytes for both.
            seed: 1,
        };
        let mut watcher = Watcher::new(self, &mut child, connections);
        let outcome = load::run(&load, &mut watcher);
        let Watcher { before, began, ended, had, gone, .. } = watcher;
        let (log, gone) = (child.log(), gone.or_else(|| child.ended()));
        let stopped = child.stop();
        if self.interrupt.is_raised() {
            return Err(Miss::Interrupted);
        }
        if let Some(status) = gone {
            let said = log.lines().last().map(|line| format!(" and last said '{line}'")).unwrap_or_default();
            return Err(Miss::Failed(format!("the server ended in the middle of it with {status}{said}")));
        }
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(load::LoadError::Config(what)) => return Err(Miss::Failed(what)),
            Err(error) => return Err(Miss::Beyond(error.to_string())),
        };
        if let Some(had) = had {
            return Err(Miss::Beyond(beyond(had, connections, &log)));
        }
        stopped.map_err(Miss::Failed)?;
        let seen = before.zip(began).zip(ended).map(|((before, began), ended)| Seen { before, began, ended });
        Ok(self.tell(engine, &outcome, seen.as_ref()))
    }

    fn start(&self, connections: usize, engine: Engine) -> Result<ServerProcess, Miss> {
        let options = self.plan.options(engine, connections);
        let start = || {
            ServerProcess::start(ServeCommand {
                service: self.plan.service,
                listen: &["127.0.0.1:0"],
                options: &options,
            })
        };
        let started = match self.pinning {
            Some(pinning) => pinning
                .on_server(start)
                .map_err(|error| Miss::Failed(format!("cannot place the server: {error}; try --no-pin")))?,
            None => start(),
        };
        started.map_err(|why| Miss::Failed(format!("cannot start the {} engine: {why}", engine.name())))
    }

    fn tell(&self, engine: Engine, outcome: &LoadOutcome, seen: Option<&Seen>) -> Run {
        // One thread cannot use more than one processor; the others have what they were given.
        let room = match engine {
            Engine::Reactor => 1,
            Engine::Threads => self.pinning.map_or_else(processors, |pinning| pinning.server().len()),
        };
        let server = seen.map(|seen| Server::new(seen, outcome, room));
        let is_open = matches!(self.plan.activity, Activity::Open { .. });
        let at = |quantile| (!outcome.latency.is_empty()).then(|| outcome.latency.value_at_quantile(quantile));
        Run {
            engine,
            round: 0,
            first: false,
            elapsed_ns: nanos(outcome.elapsed),
            messages: outcome.messages,
            answered: outcome.answered,
            due: is_open.then_some(outcome.due),
            unanswered: is_open.then_some(outcome.unanswered),
            messages_per_second: per_second(outcome.answered, outcome.elapsed),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            max_ns: at(1.0),
            generator: Generator {
                cpu_ns: nanos(outcome.generator.cpu),
                busy: outcome.generator.busy,
                bottleneck: outcome.bottleneck().map(bottleneck),
                send_lag_p99_ns: p99(&outcome.generator.send_lag),
            },
            server,
            faults: outcome.faults,
        }
    }
}

fn p99(values: &Histogram<u64>) -> Option<u64> {
    (!values.is_empty()).then(|| values.value_at_quantile(0.99))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Why a point is out of reach, when it is connections that are missing.
fn beyond(had: usize, wanted: usize, log: &str) -> String {
    let said = log.lines().rfind(|line| line.contains("WARN") || line.contains("ERROR"));
    let said = said.map(|line| format!("; the server's log ends with '{}'", line.trim())).unwrap_or_default();
    format!("only {} of {} connections could be had{said}", figure::count(had as u64), figure::count(wanted as u64))
}

/// Looks at the server when it matters, and ends a run that has come to nothing.
struct Watcher<'a> {
    arena: &'a Arena<'a>,
    child: &'a mut ServerProcess,
    probe: Option<ProcessProbe>,
    wanted: usize,
    /// The server has been looked at in the warm-up.
    looked: bool,
    before: Option<ProcessSample>,
    began: Option<ProcessSample>,
    ended: Option<ProcessSample>,
    /// How many connections there were when it was clear that there would not be enough.
    had: Option<usize>,
    /// How the server has ended, which it should not.
    gone: Option<ExitStatus>,
}

impl<'a> Watcher<'a> {
    fn new(arena: &'a Arena<'a>, child: &'a mut ServerProcess, wanted: usize) -> Self {
        let probe = ProcessProbe::of(child.pid());
        let before = probe.as_ref().and_then(ProcessProbe::now);
        Self { arena, child, probe, wanted, looked: false, before, began: None, ended: None, had: None, gone: None }
    }
}

impl LoadObserver for Watcher<'_> {
    fn on_measure_start(&mut self) {
        log::debug!("measuring at {}", at(self.wanted));
        self.began = self.probe.as_ref().and_then(ProcessProbe::now);
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        self.arena.bar.progress(progress);
        // Which threads there are is found out now, so that it need not be when it counts.
        if progress.phase == LoadPhase::WarmingUp && !self.looked {
            self.looked = true;
            let _ = self.probe.as_ref().and_then(ProcessProbe::now);
        }
        // A fault later on is a fault; connections that never were are a machine's limit.
        if progress.phase == LoadPhase::WarmingUp && progress.connections < self.wanted {
            self.had = Some(progress.connections);
        }
        self.gone = self.child.ended();
        let end = self.gone.is_some() || self.had.is_some() || self.arena.interrupt.is_raised();
        if end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_measure_end(&mut self) {
        self.ended = self.probe.as_ref().and_then(ProcessProbe::at_end);
    }
}
