//! What is said about a result, from a record that was made up.

use switchboard::load::chat::{ChatFaults, FaultKind};

use super::record::{Load, Members, Party, Proof, Record, SCHEMA, Violation};
use super::{html, table, verdict, words};
use crate::cli::commands::bench::record::{Distribution, Generator, Server, Target};
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::report::page::Tone;

fn distribution(p50: u64) -> Distribution {
    let (p90, p99, p99_9, p99_99) = (p50 * 2, p50 * 3, p50 * 4, p50 * 5);
    Distribution { count: 12_345_000, min: 1, mean: 1.0, stdev: 1.0, p50, p90, p99, p99_9, p99_99, max: p50 * 6 }
}

/// A closed loop on a server of its own, all of which went well.
fn record() -> Record {
    let generator = Generator {
        cpu_ns: 3_000_000_000,
        cpu_ns_per_message: Some(300_000.0),
        cores: 0.6,
        busy: 0.7,
        bottleneck: None,
        send_lag_ns: None,
    };
    let server = Server {
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
    let mut record = Record {
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
        target: Target {
            service: "chat",
            transport: "tcp",
            address: "127.0.0.1:8000".to_owned(),
            framing: Some("u32be".to_owned()),
            own: true,
            engine: Some("reactor".to_owned()),
            pinned: Some(PinnedCpus { server_cpus: vec![0], load_cpu: 1 }),
        },
        load: Load {
            activity: "closed",
            in_flight: Some(1),
            rate_per_second: None,
            members: 1000,
            publishers: 1,
            rooms: 1,
            payload_bytes: 64,
            warm_up_ns: 1_000_000_000,
            duration_ns: 5_000_000_000,
            answer_timeout_ns: 5_000_000_000,
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
        members: Members { in_at_end: 1000, all_in_after_ns: 120_000_000, join_ns: Some(distribution(30_000_000)) },
        proof: Proof { proved: true, ids: 12_345, received: 12_345_000, awaited: 0, violations: Vec::new() },
        faults: ChatFaults::default(),
        complaints: Vec::new(),
        generator: Party { side: generator, cpu_ns_per_delivery: Some(300.0) },
        server: Some(Party { side: server, cpu_ns_per_delivery: Some(400.0) }),
        percentiles: Vec::new(),
        samples: Vec::new(),
        verdicts: Vec::new(),
    };
    record.verdicts = verdict::of(&record);
    record
}

fn changed(change: impl FnOnce(&mut Record)) -> Record {
    let mut record = record();
    change(&mut record);
    record.verdicts = verdict::of(&record);
    record
}

/// All that is said of it, the first of it first.
fn said(record: &Record) -> Vec<(Tone, &str)> {
    record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.as_str())).collect()
}

#[test]
fn the_proof_is_one_sentence() {
    let proof =
        "Every one of 1,000 members received every id of its room once, in order (12,345 ids, 12,345,000 deliveries).";
    assert_eq!(said(&record()), [(Tone::Good, proof)]);
    assert_eq!(verdict::failure(&record()), None);
    let table = table::text(&record());
    for words in ["2,000,000 /s", "120 ms", "400 ns", "400 µs", "560 B", "80 %"] {
        assert!(table.contains(words), "{words}:\n{table}");
    }
    let page = html::page(&record());
    assert!(page.contains(proof) && page.contains("CPU a delivery"));
}

#[test]
fn a_violation_is_named_and_fails() {
    let violation = Violation {
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
    let wrong = "Something went wrong: 2 ids never came to members, 1 member was broken off by the server.";
    assert_eq!(said(&record), [(Tone::Bad, wrong), (Tone::Bad, "Member 17 never received id 105 of lobby.")]);
    let failure = "2 ids never came to members, 1 member was broken off by the server";
    assert_eq!(verdict::failure(&record).as_deref(), Some(failure));
    assert!(table::text(&record).contains("missing  broken\nfaults"), "{}", table::text(&record));
}

#[test]
fn every_kind_of_fault_has_its_words() {
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
    let said = words::faults(&faults).unwrap();
    assert_eq!(said.split(", ").count(), 10, "{said}");
    assert!(said.contains("1 message came twice, 2 messages came after later ones"), "{said}");
    assert!(said.ends_with("10 members were broken off by the server"), "{said}");
}

#[test]
fn what_was_awaited_when_it_was_ended_is_no_fault_and_no_proof() {
    let record = changed(|record| {
        (record.ended_early, record.proof.awaited, record.elapsed_ns) = (Some("signal"), 7, 2_000_000_000);
    });
    let [(Tone::Note, first), (Tone::Note, early)] = said(&record)[..] else { panic!("{:?}", record.verdicts) };
    assert!(first.starts_with("Every one of 1,000 members received every id so far of its room"), "{first}");
    assert!(first.ends_with("; 7 more deliveries were awaited when the run ended."), "{first}");
    assert_eq!(early, "It ended early: it was told to end, after 2 s of 5 s.");
    assert_eq!(verdict::failure(&record).as_deref(), Some("7 deliveries were still awaited at the end"));
}

#[test]
fn a_rate_that_was_not_kept_is_told_and_one_that_was_is_not() {
    let open = |delivered: u64| {
        let record = changed(|record| {
            (record.load.activity, record.load.rate_per_second, record.due) = ("open", Some(2e3), Some(10_000));
            record.delivered = delivered;
        });
        said(&record).iter().any(|(_, text)| text.starts_with("At 2,000 /s that were asked for"))
    };
    assert!(open(9_000_000) && !open(9_995_000));
}

#[test]
fn nothing_at_all_is_no_success() {
    let record = changed(|record| (record.deliveries, record.proof.received) = (0, 0));
    assert_eq!(said(&record)[0], (Tone::Bad, "Not one message was delivered."));
    assert_eq!(verdict::failure(&record).as_deref(), Some("not one message was delivered"));
    let idle = changed(|record| (record.load.activity, record.deliveries, record.proof.received) = ("idle", 0, 0));
    assert_eq!(said(&idle), [(Tone::Good, "All 1,000 members were in after 120 ms, and were there at the end.")]);
    assert_eq!(verdict::failure(&idle), None);
}

#[test]
fn the_load_is_told_in_a_sentence() {
    let about = |change: fn(&mut Load)| words::about(&changed(|record| change(&mut record.load)));
    let tail = "5 s after 1 s of warm-up. Own server, reactor engine.";
    let one = "1,000 members in one room, 1 of them says messages of 64 B, one under way in each room; ";
    assert_eq!(about(|_| ()), one.to_owned() + tail);
    let open = about(|load| {
        (load.activity, load.in_flight, load.rate_per_second) = ("open", None, Some(1e3));
        (load.rooms, load.publishers) = (10, 20);
    });
    let many = "1,000 members in 10 rooms, 20 of them say 1,000 messages of 64 B a second, whoever has heard them; ";
    assert_eq!(open, many.to_owned() + tail);
}
