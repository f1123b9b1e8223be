//! Builds the result of a run from the outcome of its load and the samples of its server.

use std::time::Duration;

use hdrhistogram::Histogram;
use switchboard::load::chat::{ChatOutcome, DeliveryViolation};
use switchboard::load::{self, Activity, LoadOutcome, MaxRate, SearchEnd};

use super::result::{
    ChatResult, ConnectionsRecord, Distribution, GeneratorRecord, ObjectiveRecord, PercentileRecord, ProofRecord,
    RunResult, SampleRecord, SearchRecord, SearchStepRecord, ServerRecord, TargetRecord, ViolationRecord,
};
use super::watcher::{EarlyEnd, RunReadings};
use crate::cli::report::figure::float;
use crate::cli::report::rates::{SATURATED, bottleneck_name, cores, nanos, per_item, per_second};

/// Returns the result of a run. `slow_readers` are connections besides those of the outcome.
pub(super) fn run_result<W>(
    outcome: &LoadOutcome<W>,
    chat: Option<&ChatOutcome>,
    readings: &RunReadings,
    target: &TargetRecord,
    slow_readers: usize,
) -> RunResult {
    let LoadOutcome { elapsed, activity, generator, .. } = outcome;
    let is_open = matches!(activity, Activity::Open { .. });
    let answers_per_second = per_second(outcome.answered, *elapsed);
    let delivered = chat.map(|_| outcome.answered);
    // The messages while processor time was counted. Idle connections exchange theirs before.
    let costed = match (chat, activity) {
        (Some(chat), _) => chat.sent,
        (None, Activity::Idle) => 0,
        (None, _) => outcome.answered,
    };
    let cpu_ns = nanos(generator.cpu);
    let server = server_record(readings, target, *elapsed, *activity, outcome.connections + slow_readers);
    RunResult {
        ended_early: readings.ended_early.map(EarlyEnd::key),
        elapsed_ns: nanos(*elapsed),
        messages: chat.map_or(outcome.messages, |chat| chat.sent),
        answered: chat.is_none().then_some(outcome.answered),
        due: is_open.then_some(outcome.due),
        unanswered: (is_open && chat.is_none()).then_some(outcome.unanswered),
        messages_per_second: chat.map_or(answers_per_second, |chat| per_second(chat.sent, *elapsed)),
        payload_bytes: outcome.bytes,
        // The outcome has only the number of these answers, so their size is the average.
        payload_bytes_per_second: answers_per_second * per_item(outcome.bytes, outcome.messages).unwrap_or(0.0),
        latency_ns: distribution(&outcome.latency),
        connections: ConnectionsRecord {
            open_at_end: outcome.connections,
            slow_readers_cut_off: outcome.cut_off,
            all_open_after_ns: nanos(outcome.connecting),
            connect_ns: distribution(&outcome.connects),
        },
        faults: chat.map_or_else(|| outcome.faults.named().to_vec(), |chat| chat.faults.named().to_vec()),
        generator: GeneratorRecord {
            cpu_ns,
            cpu_ns_per_message: per_item(cpu_ns, costed),
            cpu_ns_per_delivery: delivered.and_then(|delivered| per_item(cpu_ns, delivered)),
            cores: cores(generator.cpu, *elapsed),
            busy: generator.busy,
            bottleneck: outcome.bottleneck().map(bottleneck_name),
            send_lag_ns: distribution(&generator.send_lag),
        },
        server: server.map(|server| ServerRecord {
            cpu_ns_per_message: per_item(server.cpu_ns, costed),
            cpu_ns_per_delivery: delivered.and_then(|delivered| per_item(server.cpu_ns, delivered)),
            // The switches of a thread that has exited are not counted. With --churn, the threads
            // of connections have.
            context_switches_per_message: (*activity != Activity::Churn || server.threads == 1)
                .then(|| per_item(server.context_switches, costed))
                .flatten(),
            ..server
        }),
        chat: chat.map(|chat| ChatResult {
            deliveries: outcome.messages,
            delivered: outcome.answered,
            deliveries_per_second: answers_per_second,
            proof: ProofRecord {
                proved: chat.faults.is_none() && outcome.unanswered == 0,
                ids: chat.ids,
                received: chat.received,
                awaited: outcome.unanswered,
                violations: chat.violations.iter().map(violation_record).collect(),
            },
            server_errors: chat.server_errors.clone(),
        }),
    }
}

/// Connections from which the memory of each is given. With fewer, the growth of the server's
/// memory is mostly its own: the first allocations, and whole pages.
pub(super) const MIN_CONNECTIONS_FOR_MEMORY: usize = 10;

/// Returns the record of the server without its costs per message; `None` without samples of its
/// process. `open` is the number of connections at the end.
fn server_record(
    readings: &RunReadings,
    target: &TargetRecord,
    elapsed: Duration,
    activity: Activity,
    open: usize,
) -> Option<ServerRecord> {
    let (usage, ended) = (readings.usage()?, readings.ended.as_ref()?);
    // --churn has closed its connections before the sample, and UDP has none.
    let has_connections = activity != Activity::Churn && target.transport != "udp";
    let open = Some(open as u64).filter(|_| has_connections && open >= MIN_CONNECTIONS_FOR_MEMORY);
    // The connections used no memory that the server has released since the first sample.
    let growth = readings.growth_bytes().map(|bytes| bytes.max(0).unsigned_abs());
    let all_cpus = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let usable_cpus = match (ended.threads, &target.pinned) {
        (1, _) => 1,
        (_, Some(pinned)) => pinned.server_cpus.len(),
        (_, None) => all_cpus(),
    };
    let cores = cores(usage.cpu, elapsed);
    Some(ServerRecord {
        pid: readings.pid?,
        cpu_ns: nanos(usage.cpu),
        cpu_ns_per_message: None,
        cpu_ns_per_delivery: None,
        cores,
        usable_cpus,
        at_limit: cores >= SATURATED * float(usable_cpus as u64),
        rss_before_bytes: readings.idle.as_ref().map(|idle| idle.rss_bytes),
        rss_bytes: ended.rss_bytes,
        peak_rss_bytes: ended.peak_rss_bytes,
        bytes_per_connection: open.and_then(|open| per_item(growth?, open)),
        threads: ended.threads,
        context_switches: usage.context_switches,
        context_switches_per_message: None,
    })
}

fn violation_record(violation: &DeliveryViolation) -> ViolationRecord {
    let text = violation.to_string();
    let DeliveryViolation { kind, member, room, id, .. } = violation.clone();
    ViolationRecord { kind, member, room, id, text }
}

/// Returns the record of a search. Each of its steps has readings.
pub(super) fn search_record(result: &MaxRate, readings: &[RunReadings]) -> SearchRecord {
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

/// Returns the summary of a histogram. `None` if it is empty: its percentiles would be 0, which
/// reads as a latency.
fn distribution(values: &Histogram<u64>) -> Option<Distribution> {
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
