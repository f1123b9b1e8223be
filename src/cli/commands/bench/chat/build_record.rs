//! Builds the record of `bench chat` from the outcome of its load.

use switchboard::load::chat::{self, ChatOutcome};
use switchboard::load::{Activity, LoadOutcome};

use super::record::{ChatCost, ChatLoadRecord, ChatRecord, MembersRecord, ProofRecord, SCHEMA, ViolationRecord};
use super::verdicts;
use crate::cli::commands::bench::build_record::{
    RunInfo, distribution, generator_record, percentiles, sample_record, server_record,
};
use crate::cli::commands::bench::watcher::{EarlyEnd, RunReadings};
use crate::cli::report::rates::{nanos, per_item, per_second};

/// The result of one `bench chat`.
#[derive(Debug)]
pub(crate) struct ChatRun {
    pub(super) load: chat::ChatLoadConfig,
    pub(super) outcome: LoadOutcome<ChatOutcome>,
    pub(super) readings: RunReadings,
}

/// Builds the record of a run.
pub(super) fn chat_record(info: RunInfo, run: &ChatRun) -> ChatRecord {
    let ChatRun { load, outcome, readings } = run;
    let (elapsed, chat) = (outcome.elapsed, &outcome.workload);
    let deliveries_per_second = per_second(outcome.answered, elapsed);
    let generator = generator_record(&outcome.generator, outcome.bottleneck(), elapsed, chat.sent);
    let server = info
        .pid
        .and_then(|pid| server_record(pid, readings, elapsed, chat.sent, Some(outcome.connections as u64), true));
    let mut record = ChatRecord {
        schema: SCHEMA,
        command: info.command,
        started_at: info.started_at,
        machine: info.machine,
        target: info.target,
        load: load_record(load),
        interrupted: info.interrupted,
        ended_early: readings.ended_early.map(EarlyEnd::key),
        elapsed_ns: nanos(elapsed),
        messages: chat.sent,
        due: matches!(load.activity, Activity::Open { .. }).then_some(outcome.due),
        messages_per_second: per_second(chat.sent, elapsed),
        deliveries: outcome.messages,
        delivered: outcome.answered,
        deliveries_per_second,
        payload_bytes_per_second: deliveries_per_second * per_item(outcome.bytes, outcome.messages).unwrap_or(0.0),
        latency_ns: distribution(&outcome.latency),
        members: MembersRecord {
            joined_at_end: outcome.connections,
            all_joined_after_ns: nanos(outcome.connecting),
            join_ns: distribution(&outcome.connects),
        },
        proof: ProofRecord {
            proved: outcome.is_verified(),
            ids: chat.ids,
            received: chat.received,
            awaited: outcome.unanswered,
            violations: chat.violations.iter().map(violation_record).collect(),
        },
        faults: chat.faults,
        server_errors: chat.server_errors.clone(),
        generator: ChatCost { cpu_ns_per_delivery: per_item(generator.cpu_ns, outcome.answered), process: generator },
        server: server
            .map(|server| ChatCost { cpu_ns_per_delivery: per_item(server.cpu_ns, outcome.answered), process: server }),
        percentiles: percentiles(&outcome.latency),
        samples: outcome.samples.iter().map(sample_record).collect(),
        verdicts: Vec::new(),
    };
    record.verdicts = verdicts::verdicts(&record);
    record
}

fn load_record(plan: &chat::ChatLoadConfig) -> ChatLoadRecord {
    let (activity, in_flight, rate_per_second) = match plan.activity {
        Activity::Closed { in_flight } => ("closed", Some(in_flight), None),
        Activity::Open { rate } => ("open", None, Some(rate)),
        _ => ("idle", None, None),
    };
    ChatLoadRecord {
        activity,
        in_flight,
        rate_per_second,
        members: plan.members,
        publishers: plan.publishers,
        rooms: plan.rooms,
        payload_bytes: plan.payload_bytes,
        warm_up_ns: nanos(plan.warm_up),
        duration_ns: nanos(plan.duration),
        reply_timeout_ns: nanos(plan.reply_timeout),
    }
}

fn violation_record(violation: &chat::DeliveryViolation) -> ViolationRecord {
    let text = violation.to_string();
    ViolationRecord {
        kind: violation.kind,
        member: violation.member,
        room: violation.room.clone(),
        id: violation.id,
        text,
    }
}
