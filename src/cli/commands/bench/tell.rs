//! From what was measured to what is written down.

use std::time::Duration;

use hdrhistogram::Histogram;
use switchboard::Endpoint;
use switchboard::load::{self, Activity, Bottleneck, LoadOutcome, MaxRate, SearchEnd};

use super::record::{
    Connections, Distribution, FindMax, Generator, Load, Objective, Percentile, Record, SCHEMA, Sample, Server, Step,
    Target,
};
use super::server;
use super::setting::{self, Setting};
use super::verdict;
use super::watch::{Readings, Why};
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::report::rates::{bottleneck, cores, each, nanos, per_second};

/// What is known of a run besides its outcome.
#[derive(Debug)]
pub(super) struct About {
    pub(super) command: String,
    pub(super) started_at: String,
    pub(super) machine: MachineInfo,
    pub(super) target: Target,
    pub(super) pid: Option<u32>,
    pub(super) interrupted: bool,
}

/// What was measured under one load.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) load: load::LoadConfig,
    pub(super) outcome: LoadOutcome,
    pub(super) readings: Readings,
    /// The search of which it is the result.
    pub(super) search: Option<FindMax>,
}

impl Run {
    /// Of a search, the run at the rate that was found; if there is none, the last; none if nothing was tried to its end.
    pub(super) fn of_search(
        load: load::LoadConfig,
        found: MaxRate,
        readings: Vec<Readings>,
        ended_early: Option<Why>,
    ) -> Option<Self> {
        let search = find_max(&found, &readings);
        let held = found.steps.iter().enumerate().filter(|(_, step)| step.verdict == load::StepVerdict::Holds);
        let best = held.max_by(|(_, one), (_, other)| one.rate.total_cmp(&other.rate)).map(|(index, _)| index);
        let index = best.or(found.steps.len().checked_sub(1))?;
        let best = found.steps.into_iter().zip(readings).nth(index);
        best.map(|(step, mut readings)| {
            // Of the search: what is shown was tried to its end.
            readings.ended_early = ended_early;
            Self {
                load: load::LoadConfig { activity: Activity::Open { rate: step.rate }, ..load },
                outcome: step.outcome,
                readings,
                search: Some(search),
            }
        })
    }
}

/// Writes a result down.
pub(super) fn record(about: About, run: &Run) -> Record {
    let Run { load, outcome, readings, search } = run;
    let is_open = matches!(load.activity, Activity::Open { .. });
    let answered_per_second = per_second(outcome.answered, outcome.elapsed);
    let counted = in_measured_time(load, outcome);
    let mut record = Record {
        schema: SCHEMA,
        command: about.command,
        started_at: about.started_at,
        machine: about.machine,
        target: about.target,
        load: describe(load),
        interrupted: about.interrupted,
        ended_early: readings.ended_early.map(Why::key),
        elapsed_ns: nanos(outcome.elapsed),
        messages: outcome.messages,
        answered: outcome.answered,
        due: is_open.then_some(outcome.due),
        unanswered: is_open.then_some(outcome.unanswered),
        messages_per_second: answered_per_second,
        payload_bytes: outcome.bytes,
        // Of those that came in this time only their number is known.
        payload_bytes_per_second: answered_per_second * each(outcome.bytes, outcome.messages).unwrap_or(0.0),
        latency_ns: distribution(&outcome.latency),
        connections: Connections {
            open_at_end: outcome.connections,
            slow_readers_cut_off: outcome.cut_off,
            all_open_after_ns: nanos(outcome.connecting),
            connect_ns: distribution(&outcome.connects),
        },
        faults: outcome.faults,
        generator: generator(&outcome.generator, outcome.bottleneck(), outcome.elapsed, counted),
        server: about.pid.and_then(|pid| {
            // Those of a churn have gone when the server is looked at, and a datagram leaves nothing behind.
            let churns = matches!(load.activity, Activity::Churn);
            let lasting = !churns && !matches!(load.target, Endpoint::Udp(_));
            let open = lasting.then_some((outcome.connections + load.slow_readers) as u64);
            server(pid, readings, outcome.elapsed, counted, open, !churns)
        }),
        percentiles: percentiles(&outcome.latency),
        samples: outcome.samples.iter().map(sample).collect(),
        find_max: search.clone(),
        verdicts: Vec::new(),
    };
    record.verdicts = verdict::of(&record);
    record
}

/// The server, as it was found.
pub(super) fn target(setting: &Setting, target: &server::Target) -> Target {
    let engine = match &setting.server {
        setting::Server::Own { engine, .. } => Some(engine.clone()),
        setting::Server::Foreign { .. } => None,
    };
    Target {
        service: setting.service,
        transport: target.endpoint.transport(),
        address: target.endpoint.address().to_string(),
        framing: (!matches!(target.endpoint, Endpoint::Udp(_))).then(|| setting.framing.to_string()),
        own: target.is_own(),
        engine,
        pinned: target.pinning.as_ref().map(PinnedCpus::from),
    }
}

fn describe(plan: &load::LoadConfig) -> Load {
    let (activity, in_flight, rate_per_second) = match plan.activity {
        Activity::Closed { in_flight } => ("closed", Some(in_flight), None),
        Activity::Open { rate } => ("open", None, Some(rate)),
        Activity::Churn => ("churn", None, None),
        Activity::Idle => ("idle", None, None),
    };
    Load {
        activity,
        in_flight,
        rate_per_second,
        connections: plan.connections,
        slow_readers: plan.slow_readers,
        payload_min_bytes: *plan.payload_bytes.start(),
        payload_max_bytes: *plan.payload_bytes.end(),
        ramp_ns: nanos(plan.ramp),
        warm_up_ns: nanos(plan.warm_up),
        duration_ns: nanos(plan.duration),
        answer_timeout_ns: nanos(plan.answer_timeout),
        seed: plan.seed,
    }
}

/// The generator, and what each of so many messages in the measured time cost it.
pub(super) fn generator(
    generator: &load::GeneratorStats,
    limit: Option<Bottleneck>,
    elapsed: Duration,
    messages: u64,
) -> Generator {
    Generator {
        cpu_ns: nanos(generator.cpu),
        cpu_ns_per_message: each(nanos(generator.cpu), messages),
        cores: cores(generator.cpu, elapsed),
        busy: generator.busy,
        bottleneck: limit.map(bottleneck),
        send_lag_ns: distribution(&generator.send_lag),
    }
}

/// The server, if it was looked at, and what each of so many messages in the measured time cost it; `open` connections were there
/// before and after, if that can be said. `lasting`: its threads have all been there from the beginning to the end.
pub(super) fn server(
    pid: u32,
    readings: &Readings,
    elapsed: Duration,
    messages: u64,
    open: Option<u64>,
    lasting: bool,
) -> Option<Server> {
    let (usage, ended) = (readings.usage()?, readings.ended.as_ref()?);
    let open = open.filter(|open| *open > 0);
    // Memory that it has given back meanwhile was none of theirs.
    let growth = readings.growth_bytes().map(|bytes| bytes.max(0).unsigned_abs());
    // Threads that have ended took their counts with them.
    let switches = if lasting || ended.threads == 1 { each(usage.context_switches, messages) } else { None };
    Some(Server {
        pid,
        cpu_ns: nanos(usage.cpu),
        cpu_ns_per_message: each(nanos(usage.cpu), messages),
        cores: cores(usage.cpu, elapsed),
        rss_bytes: ended.rss_bytes,
        peak_rss_bytes: ended.peak_rss_bytes,
        bytes_per_connection: open.and_then(|open| each(growth?, open)),
        threads: ended.threads,
        context_switches: usage.context_switches,
        context_switches_per_message: switches,
    })
}

fn find_max(found: &MaxRate, readings: &[Readings]) -> FindMax {
    let slo = &found.slo;
    let step = |(step, readings): (&load::RateStep, &Readings)| Step {
        rate_per_second: step.rate,
        verdict: match step.verdict {
            load::StepVerdict::Holds => "holds",
            load::StepVerdict::TooSlow => "too_slow",
            load::StepVerdict::TooFew => "too_few",
            load::StepVerdict::Generator(_) => "generator",
            _ => "faulty",
        },
        answered_per_second: per_second(step.outcome.answered, step.outcome.elapsed),
        latency_ns: (!step.outcome.latency.is_empty()).then(|| nanos(slo.measured(&step.outcome))),
        generator_busy: step.outcome.generator.busy,
        server_cores: readings.usage().map(|usage| cores(usage.cpu, step.outcome.elapsed)),
        faults: step.outcome.faults,
    };
    FindMax {
        slo: Objective {
            text: slo.to_string(),
            // A quantile has been divided by a hundred, and what that lost is put right.
            percentile: (slo.quantile * 1e8).round() / 1e6,
            below_ns: nanos(slo.below),
        },
        rate_per_second: (found.rate > 0.0).then_some(found.rate),
        ended: match found.ended {
            SearchEnd::Found => "found",
            SearchEnd::Stopped => "stopped",
            _ => "generator",
        },
        steps: found.steps.iter().zip(readings).map(step).collect(),
    }
}

/// Answers of the time in which processor time was counted, too. Idle connections had theirs before.
fn in_measured_time(load: &load::LoadConfig, outcome: &LoadOutcome) -> u64 {
    if matches!(load.activity, Activity::Idle) { 0 } else { outcome.answered }
}

/// None of nothing: the percentiles of no values would all be zero, and zero is a latency.
pub(super) fn distribution(values: &Histogram<u64>) -> Option<Distribution> {
    let at = |quantile| values.value_at_quantile(quantile);
    (!values.is_empty()).then(|| Distribution {
        count: values.len(),
        min: values.min(),
        mean: values.mean(),
        stdev: values.stdev(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: values.max(),
    })
}

/// So many steps between a percentile and the one that half as many messages exceed.
const STEPS_BY_HALF: u32 = 5;

pub(super) fn percentiles(latency: &Histogram<u64>) -> Vec<Percentile> {
    let values = latency.iter_quantiles(STEPS_BY_HALF);
    let of = |quantile: f64, latency_ns| Percentile { percentile: quantile * 100.0, latency_ns };
    values.map(|value| of(value.quantile_iterated_to(), value.value_iterated_to())).collect()
}

pub(super) fn sample(sample: &load::LoadSample) -> Sample {
    Sample {
        at_ns: nanos(sample.at),
        length_ns: nanos(sample.length),
        messages: sample.messages,
        messages_per_second: per_second(sample.messages, sample.length),
        p50_ns: nanos(sample.p50),
        p99_ns: nanos(sample.p99),
        max_ns: nanos(sample.max),
        faults: sample.faults,
    }
}
