//! From what was measured to what is written down.

use switchboard::load::chat::{self, ChatActivity};

use super::Run;
use super::record::{Load, Members, Party, Proof, Record, SCHEMA, Violation};
use super::verdict;
use crate::cli::commands::bench::tell::{self, About, distribution};
use crate::cli::commands::bench::watch::Why;
use crate::cli::report::rates::{each, nanos, per_second};

/// Writes a result down.
pub(super) fn record(about: About, run: &Run) -> Record {
    let Run { load, outcome, readings } = run;
    let elapsed = outcome.elapsed;
    let deliveries_per_second = per_second(outcome.delivered, elapsed);
    let generator = tell::generator(&outcome.generator, outcome.bottleneck(), elapsed, outcome.messages);
    let server = about
        .pid
        .and_then(|pid| tell::server(pid, readings, elapsed, outcome.messages, Some(outcome.members as u64), true));
    let mut record = Record {
        schema: SCHEMA,
        command: about.command,
        started_at: about.started_at,
        machine: about.machine,
        target: about.target,
        load: describe(load),
        interrupted: about.interrupted,
        ended_early: readings.ended_early.map(Why::key),
        elapsed_ns: nanos(elapsed),
        messages: outcome.messages,
        due: matches!(load.activity, ChatActivity::Open { .. }).then_some(outcome.due),
        messages_per_second: per_second(outcome.messages, elapsed),
        deliveries: outcome.deliveries,
        delivered: outcome.delivered,
        deliveries_per_second,
        payload_bytes_per_second: deliveries_per_second * each(outcome.bytes, outcome.deliveries).unwrap_or(0.0),
        latency_ns: distribution(&outcome.latency),
        members: Members {
            in_at_end: outcome.members,
            all_in_after_ns: nanos(outcome.joining),
            join_ns: distribution(&outcome.joins),
        },
        proof: Proof {
            proved: outcome.is_verified(),
            ids: outcome.ids,
            received: outcome.received,
            awaited: outcome.awaited,
            violations: outcome.violations.iter().map(violation).collect(),
        },
        faults: outcome.faults,
        complaints: outcome.server_errors.clone(),
        generator: Party { cpu_ns_per_delivery: each(generator.cpu_ns, outcome.delivered), side: generator },
        server: server
            .map(|server| Party { cpu_ns_per_delivery: each(server.cpu_ns, outcome.delivered), side: server }),
        percentiles: tell::percentiles(&outcome.latency),
        samples: outcome.samples.iter().map(tell::sample).collect(),
        verdicts: Vec::new(),
    };
    record.verdicts = verdict::of(&record);
    record
}

fn describe(plan: &chat::ChatLoadConfig) -> Load {
    let (activity, in_flight, rate_per_second) = match plan.activity {
        ChatActivity::Closed { in_flight } => ("closed", Some(in_flight), None),
        ChatActivity::Open { rate } => ("open", None, Some(rate)),
        ChatActivity::Idle => ("idle", None, None),
    };
    Load {
        activity,
        in_flight,
        rate_per_second,
        members: plan.members,
        publishers: plan.publishers,
        rooms: plan.rooms,
        payload_bytes: plan.payload_bytes,
        warm_up_ns: nanos(plan.warm_up),
        duration_ns: nanos(plan.duration),
        answer_timeout_ns: nanos(plan.answer_timeout),
    }
}

fn violation(violation: &chat::DeliveryViolation) -> Violation {
    let text = violation.to_string();
    Violation { kind: violation.kind, member: violation.member, room: violation.room.clone(), id: violation.id, text }
}
