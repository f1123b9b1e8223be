//! Builds the record of `bench echo` from the outcome of its load.

use std::time::Duration;

use hdrhistogram::Histogram;
use switchboard::Endpoint;
use switchboard::load::{self, Activity, Bottleneck, LoadOutcome, MaxRate, SearchEnd};

use super::options::{BenchOptions, ServerSource};
use super::record::{
    ConnectionsRecord, Distribution, EchoLoadRecord, EchoRecord, GeneratorRecord, ObjectiveRecord, PercentileRecord,
    SCHEMA, SampleRecord, SearchRecord, SearchStepRecord, ServerRecord, TargetRecord,
};
use super::server::BenchServer;
use super::verdicts;
use super::watcher::{EarlyEnd, RunReadings};
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::report::rates::{bottleneck_name, cores, nanos, per_item, per_second};

/// The facts about a run beside its outcome.
#[derive(Debug)]
pub(super) struct RunInfo {
    pub(super) command: String,
    pub(super) started_at: String,
    pub(super) machine: MachineInfo,
    pub(super) target: TargetRecord,
    pub(super) pid: Option<u32>,
    pub(super) interrupted: bool,
}

/// The result of one `bench echo`.
#[derive(Debug)]
pub(super) struct EchoRun {
    pub(super) load: load::LoadConfig,
    pub(super) outcome: LoadOutcome,
    pub(super) readings: RunReadings,
    /// The search that found the rate of this run.
    pub(super) search: Option<SearchRecord>,
}

impl EchoRun {
    /// Returns the run at the rate that the search found, or the last run if the objective held at
    /// no rate. `None` if no run was completed.
    pub(super) fn from_search(
        load: load::LoadConfig,
        result: MaxRate,
        readings: Vec<RunReadings>,
        ended_early: Option<EarlyEnd>,
    ) -> Option<Self> {
        let search = search_record(&result, &readings);
        let held = result.steps.iter().enumerate().filter(|(_, step)| step.verdict == load::StepVerdict::Holds);
        let best = held.max_by(|(_, one), (_, other)| one.rate.total_cmp(&other.rate)).map(|(index, _)| index);
        let index = best.or(result.steps.len().checked_sub(1))?;
        let best = result.steps.into_iter().zip(readings).nth(index);
        best.map(|(step, mut readings)| {
            // The shown run was completed; only the search ended early.
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

/// Builds the record of a run.
pub(super) fn echo_record(info: RunInfo, run: &EchoRun) -> EchoRecord {
    let EchoRun { load, outcome, readings, search } = run;
    let is_open = matches!(load.activity, Activity::Open { .. });
    let answered_per_second = per_second(outcome.answered, outcome.elapsed);
    let messages = messages_in_measured_time(load, outcome);
    let mut record = EchoRecord {
        schema: SCHEMA,
        command: info.command,
        started_at: info.started_at,
        machine: info.machine,
        target: info.target,
        load: load_record(load),
        interrupted: info.interrupted,
        ended_early: readings.ended_early.map(EarlyEnd::key),
        elapsed_ns: nanos(outcome.elapsed),
        messages: outcome.messages,
        answered: outcome.answered,
        due: is_open.then_some(outcome.due),
        unanswered: is_open.then_some(outcome.unanswered),
        messages_per_second: answered_per_second,
        payload_bytes: outcome.bytes,
        // The outcome has only the number of these answers, so their size is the average.
        payload_bytes_per_second: answered_per_second * per_item(outcome.bytes, outcome.messages).unwrap_or(0.0),
        latency_ns: distribution(&outcome.latency),
        connections: ConnectionsRecord {
            open_at_end: outcome.connections,
            slow_readers_cut_off: outcome.cut_off,
            all_open_after_ns: nanos(outcome.connecting),
            connect_ns: distribution(&outcome.connects),
        },
        faults: outcome.faults,
        generator: generator_record(&outcome.generator, outcome.bottleneck(), outcome.elapsed, messages),
        server: info.pid.and_then(|pid| {
            // --churn has closed its connections before the sample, and UDP has none.
            let churns = matches!(load.activity, Activity::Churn);
            let has_connections = !churns && !matches!(load.target, Endpoint::Udp(_));
            let open = has_connections.then_some((outcome.connections + load.slow_readers) as u64);
            server_record(pid, readings, outcome.elapsed, messages, open, !churns)
        }),
        percentiles: percentiles(&outcome.latency),
        samples: outcome.samples.iter().map(sample_record).collect(),
        find_max: search.clone(),
        verdicts: Vec::new(),
    };
    record.verdicts = verdicts::verdicts(&record);
    record
}

/// Returns the record of the server under load.
pub(super) fn target_record(options: &BenchOptions, server: &BenchServer) -> TargetRecord {
    let engine = match &options.server {
        ServerSource::Spawned { engine, .. } => Some(engine.clone()),
        ServerSource::Existing { .. } => None,
    };
    TargetRecord {
        service: options.service,
        transport: server.endpoint.transport(),
        address: server.endpoint.address().to_string(),
        framing: (!matches!(server.endpoint, Endpoint::Udp(_))).then(|| options.framing.to_string()),
        own: server.is_spawned(),
        engine,
        pinned: server.pinning.as_ref().map(PinnedCpus::from),
    }
}

fn load_record(plan: &load::LoadConfig) -> EchoLoadRecord {
    let (activity, in_flight, rate_per_second) = match plan.activity {
        Activity::Closed { in_flight } => ("closed", Some(in_flight), None),
        Activity::Open { rate } => ("open", None, Some(rate)),
        Activity::Churn => ("churn", None, None),
        Activity::Idle => ("idle", None, None),
    };
    EchoLoadRecord {
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
        reply_timeout_ns: nanos(plan.reply_timeout),
        seed: plan.seed,
    }
}

/// Returns the record of the generator. `messages` are those of the measured time; each cost is
/// divided by them.
pub(super) fn generator_record(
    generator: &load::GeneratorStats,
    limit: Option<Bottleneck>,
    elapsed: Duration,
    messages: u64,
) -> GeneratorRecord {
    GeneratorRecord {
        cpu_ns: nanos(generator.cpu),
        cpu_ns_per_message: per_item(nanos(generator.cpu), messages),
        cores: cores(generator.cpu, elapsed),
        busy: generator.busy,
        bottleneck: limit.map(bottleneck_name),
        send_lag_ns: distribution(&generator.send_lag),
    }
}

/// Returns the record of the server, or `None` without samples of its process. `messages` are those
/// of the measured time. `open` is the number of connections at the end, if it is known.
/// `threads_last`: each thread exists from the start to the end of the measured time.
pub(super) fn server_record(
    pid: u32,
    readings: &RunReadings,
    elapsed: Duration,
    messages: u64,
    open: Option<u64>,
    threads_last: bool,
) -> Option<ServerRecord> {
    let (usage, ended) = (readings.usage()?, readings.ended.as_ref()?);
    let open = open.filter(|open| *open > 0);
    // The connections used no memory that the server has released since the first sample.
    let growth = readings.growth_bytes().map(|bytes| bytes.max(0).unsigned_abs());
    // The switches of a thread that has exited are not counted.
    let switches = if threads_last || ended.threads == 1 { per_item(usage.context_switches, messages) } else { None };
    Some(ServerRecord {
        pid,
        cpu_ns: nanos(usage.cpu),
        cpu_ns_per_message: per_item(nanos(usage.cpu), messages),
        cores: cores(usage.cpu, elapsed),
        rss_bytes: ended.rss_bytes,
        peak_rss_bytes: ended.peak_rss_bytes,
        bytes_per_connection: open.and_then(|open| per_item(growth?, open)),
        threads: ended.threads,
        context_switches: usage.context_switches,
        context_switches_per_message: switches,
    })
}

fn search_record(result: &MaxRate, readings: &[RunReadings]) -> SearchRecord {
    let slo = &result.slo;
    let step = |(step, readings): (&load::RateStep, &RunReadings)| SearchStepRecord {
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
    SearchRecord {
        slo: ObjectiveRecord {
            text: slo.to_string(),
            // The parser divided the percentile by 100. Rounding removes the error of that
            // division.
            percentile: (slo.quantile * 1e8).round() / 1e6,
            below_ns: nanos(slo.below),
        },
        rate_per_second: (result.rate > 0.0).then_some(result.rate),
        ended: match result.ended {
            SearchEnd::Found => "found",
            SearchEnd::Stopped => "stopped",
            _ => "generator",
        },
        steps: result.steps.iter().zip(readings).map(step).collect(),
    }
}

/// Returns the answers that arrived while processor time was counted. Idle connections exchange
/// their messages before the measured time.
fn messages_in_measured_time(load: &load::LoadConfig, outcome: &LoadOutcome) -> u64 {
    if matches!(load.activity, Activity::Idle) { 0 } else { outcome.answered }
}

/// Returns the summary of a histogram. `None` if it is empty: its percentiles would be 0, which
/// reads as a latency.
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

/// Points of the latency curve for each halving of the remaining messages.
const POINTS_PER_HALVING: u32 = 5;

/// Returns the points of the latency curve.
pub(super) fn percentiles(latency: &Histogram<u64>) -> Vec<PercentileRecord> {
    let values = latency.iter_quantiles(POINTS_PER_HALVING);
    let of = |quantile: f64, latency_ns| PercentileRecord { percentile: quantile * 100.0, latency_ns };
    values.map(|value| of(value.quantile_iterated_to(), value.value_iterated_to())).collect()
}

/// Returns the record of one interval of the measured time.
pub(super) fn sample_record(sample: &load::LoadSample) -> SampleRecord {
    SampleRecord {
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
