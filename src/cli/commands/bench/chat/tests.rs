//! The outputs and verdicts of `bench chat`, made from a fixed record.

use switchboard::load::chat::{ChatFaults, FaultKind};

use super::record::{ChatCost, ChatLoadRecord, ChatRecord, MembersRecord, ProofRecord, SCHEMA, ViolationRecord};
use super::{format, html, table, verdicts};
use crate::cli::commands::bench::record::{Distribution, GeneratorRecord, ServerRecord, TargetRecord};
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::report::page::Tone;

fn distribution(p50: u64) -> Distribution {
    let (p90, p99, p99_9, p99_99) = (p50 * 2, p50 * 3, p50 * 4, p50 * 5);
    Distribution { count: 12_345_000, min: 1, mean: 1.0, stdev: 1.0, p50, p90, p99, p99_9, p99_99, max: p50 * 6 }
}

/// Returns the record of a faultless closed loop on a spawned server.
fn record() -> ChatRecord {
    let generator = GeneratorRecord {
        cpu_ns: 3_000_000_000,
        cpu_ns_per_message: Some(300_000.0),
        cores: 0.6,
        busy: 0.7,
        bottleneck: None,
        send_lag_ns: None,
    };
    let server = ServerRecord {
        pid: 77,
        cpu_ns: 4_000_000_000,
        cpu_ns_per_message: Some(400_000.0),
        cores: 0.8,
        rss_bytes: 12 << 20,
        peak_rss_bytes: 13 << 20,
        bytes_per_connection: Some(560.0),
        threads: 1,
        context_switches: 1_000,
        context_switches_per_message: Some(0.1),
    };
    let mut record = ChatRecord {
        schema: SCHEMA,
        command: "switchboard bench chat".to_owned(),
        started_at: "2026-01-02T03:04:05+00:00".to_owned(),
        machine: MachineInfo {
            cpu_model: None,
            cpus: 2,
            memory_bytes: None,
            kernel: "Linux 6.1".to_owned(),
            target: "x86_64 linux".to_owned(),
            profile: "release".to_owned(),
            version: "0.1.0".to_owned(),
        },
        target: TargetRecord {
            service: "chat",
            transport: "tcp",
            address: "127.0.0.1:8000".to_owned(),
            framing: Some("u32be".to_owned()),
            own: true,
            engine: Some("reactor".to_owned()),
            pinned: Some(PinnedCpus { server_cpus: vec![0], load_cpu: 1 }),
        },
        load: ChatLoadRecord {
            activity: "closed",
            in_flight: Some(1),
            rate_per_second: None,
            members: 1000,
            publishers: 1,
            rooms: 1,
            payload_bytes: 64,
            warm_up_ns: 1_000_000_000,
            duration_ns: 5_000_000_000,
            reply_timeout_ns: 5_000_000_000,
        },
        interrupted: false,
        ended_early: None,
        elapsed_ns: 5_000_000_000,
        messages: 10_000,
        due: None,
        messages_per_second: 2_000.0,
        deliveries: 10_000_000,
        delivered: 10_000_000,
        deliveries_per_second: 2e6,
        payload_bytes_per_second: 128e6,
        latency_ns: Some(distribution(400_000)),
        members: MembersRecord {
            joined_at_end: 1000,
            all_joined_after_ns: 120_000_000,
            join_ns: Some(distribution(30_000_000)),
        },
        proof: ProofRecord { proved: true, ids: 12_345, received: 12_345_000, awaited: 0, violations: Vec::new() },
        faults: ChatFaults::default(),
        server_errors: Vec::new(),
        generator: ChatCost { process: generator, cpu_ns_per_delivery: Some(300.0) },
        server: Some(ChatCost { process: server, cpu_ns_per_delivery: Some(400.0) }),
        percentiles: Vec::new(),
        samples: Vec::new(),
        verdicts: Vec::new(),
    };
    record.verdicts = verdicts::verdicts(&record);
    record
}

fn changed(change: impl FnOnce(&mut ChatRecord)) -> ChatRecord {
    let mut record = record();
    change(&mut record);
    record.verdicts = verdicts::verdicts(&record);
    record
}

/// Returns the tone and text of each verdict.
fn texts(record: &ChatRecord) -> Vec<(Tone, &str)> {
    record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.as_str())).collect()
}

#[test]
fn proof_is_one_sentence() {
    let proof =
        "Every one of 1,000 members received every id of its room once, in order (12,345 ids, 12,345,000 deliveries).";
    assert_eq!(texts(&record()), [(Tone::Good, proof)]);
    assert_eq!(verdicts::failure(&record()), None);
    let table = table::render(&record());
    for words in ["2,000,000 /s", "120 ms", "400 ns", "400 µs", "560 B", "80 %"] {
        assert!(table.contains(words), "{words}:\n{table}");
    }
    let page = html::page(&record());
    assert!(page.contains(proof) && page.contains("CPU per delivery"));
}

#[test]
fn a_violation_is_reported_and_fails() {
    let violation = ViolationRecord {
        kind: FaultKind::Missing,
        member: 17,
        room: "lobby".to_owned(),
        id: 105,
        text: "member 17 never received id 105 of lobby".to_owned(),
    };
    let record = changed(|record| {
        (record.faults.missing, record.faults.broken) = (2, 1);
        (record.proof.proved, record.proof.violations) = (false, vec![violation]);
    });
    let wrong = "Something went wrong: 2 ids never reached members, 1 member was disconnected by the server.";
    assert_eq!(texts(&record), [(Tone::Bad, wrong), (Tone::Bad, "Member 17 never received id 105 of lobby.")]);
    let failure = "2 ids never reached members, 1 member was disconnected by the server";
    assert_eq!(verdicts::failure(&record).as_deref(), Some(failure));
    assert!(table::render(&record).contains("missing  broken\nfaults"), "{}", table::render(&record));
}

#[test]
fn every_kind_of_fault_has_a_text() {
    let mut faults = ChatFaults::default();
    let counts = [
        &mut faults.missing,
        &mut faults.duplicated,
        &mut faults.reordered,
        &mut faults.corrupted,
        &mut faults.strayed,
        &mut faults.unsaid,
        &mut faults.misnumbered,
        &mut faults.uncompared,
        &mut faults.server_errors,
        &mut faults.refused,
        &mut faults.broken,
    ];
    counts.into_iter().enumerate().for_each(|(index, count)| *count = index as u64);
    let text = format::faults(&faults).unwrap();
    assert_eq!(text.split(", ").count(), 10, "{text}");
    assert!(text.contains("1 message arrived twice, 2 messages arrived after later ones"), "{text}");
    assert!(text.ends_with("10 members were disconnected by the server"), "{text}");
}

#[test]
fn outstanding_deliveries_are_noted_and_fail() {
    let record = changed(|record| {
        (record.ended_early, record.proof.awaited, record.elapsed_ns) = (Some("signal"), 7, 2_000_000_000);
    });
    let [(Tone::Note, first), (Tone::Note, early)] = texts(&record)[..] else { panic!("{:?}", record.verdicts) };
    assert!(first.starts_with("Every one of 1,000 members received every id so far of its room"), "{first}");
    assert!(first.ends_with("; 7 more deliveries were outstanding when the run ended."), "{first}");
    assert_eq!(early, "The run ended early: a signal stopped it, after 2 s of 5 s.");
    assert_eq!(verdicts::failure(&record).as_deref(), Some("7 deliveries were outstanding at the end"));
}

#[test]
fn a_rate_that_was_not_reached_is_noted() {
    let open = |delivered: u64| {
        let record = changed(|record| {
            (record.load.activity, record.load.rate_per_second, record.due) = ("open", Some(2e3), Some(10_000));
            record.delivered = delivered;
        });
        texts(&record).iter().any(|(_, text)| text.starts_with("The rate was not reached: at 2,000 /s,"))
    };
    assert!(open(9_000_000) && !open(9_995_000));
}

#[test]
fn a_run_without_deliveries_fails_unless_idle() {
    let record = changed(|record| (record.deliveries, record.proof.received) = (0, 0));
    assert_eq!(texts(&record)[0], (Tone::Bad, "No message was delivered."));
    assert_eq!(verdicts::failure(&record).as_deref(), Some("no message was delivered"));
    let idle = changed(|record| (record.load.activity, record.deliveries, record.proof.received) = ("idle", 0, 0));
    assert_eq!(texts(&idle), [(Tone::Good, "All 1,000 members had joined after 120 ms and stayed until the end.")]);
    assert_eq!(verdicts::failure(&idle), None);
}

#[test]
fn load_is_described_in_one_sentence() {
    let about = |change: fn(&mut ChatLoadRecord)| format::about(&changed(|record| change(&mut record.load)));
    let tail = "5 s after 1 s of warm-up. Own server, reactor engine.";
    let one = "1,000 members in one room, 1 of them sends messages of 64 B, one in flight in each room; ";
    assert_eq!(about(|_| ()), one.to_owned() + tail);
    let open = about(|load| {
        (load.activity, load.in_flight, load.rate_per_second) = ("open", None, Some(1e3));
        (load.rooms, load.publishers) = (10, 20);
    });
    let many = "1,000 members in 10 rooms, 20 of them send 1,000 messages of 64 B per second, whether or not they are delivered; ";
    assert_eq!(open, many.to_owned() + tail);
}
