//! The outputs and verdicts of `bench chat`, made from a fixed record.

use switchboard::load::chat::{ChatFaults, FaultKind};

use super::super::result::{BenchRecord, ChatResult, FaultCounts, LoadRecord, ProofRecord, ViolationRecord};
use super::super::{load_text, verdicts};
use super::{distribution, html, table};
use crate::cli::report::document::Tone;
use crate::cli::report::rates::faults_text;

/// Returns the counts of all kinds of faults, zero but for these.
fn faults(counts: &[(&str, u64)]) -> FaultCounts {
    let count = |kind: &str| counts.iter().find(|(of, _)| *of == kind).map_or(0, |(_, count)| *count);
    ChatFaults::default().named().map(|(kind, _)| (kind, count(kind))).to_vec()
}

/// Returns the record of a faultless closed loop on a spawned server.
fn record() -> BenchRecord {
    let mut record = super::record();
    record.target.service = "chat";
    let load = &mut record.load;
    (load.connections, load.publishers, load.rooms, load.seed) = (Some(1000), Some(1), Some(1), None);
    let run = &mut record.run;
    (run.messages, run.messages_per_second, run.answered) = (10_000, 2_000.0, None);
    run.payload_bytes_per_second = 128e6;
    (run.connections.open_at_end, run.connections.all_open_after_ns) = (1000, 120_000_000);
    run.connections.connect_ns = Some(distribution(1_000_000));
    run.faults = faults(&[]);
    (run.generator.cpu_ns_per_message, run.generator.cpu_ns_per_delivery) = (Some(300_000.0), Some(300.0));
    let server = run.server.as_mut().unwrap();
    (server.cpu_ns_per_message, server.cpu_ns_per_delivery) = (Some(400_000.0), Some(400.0));
    server.bytes_per_connection = Some(560.0);
    run.chat = Some(ChatResult {
        deliveries: 10_000_000,
        delivered: 10_000_000,
        deliveries_per_second: 2e6,
        proof: ProofRecord { proved: true, ids: 12_345, received: 12_345_000, awaited: 0, violations: Vec::new() },
        server_errors: Vec::new(),
    });
    record.verdicts = verdicts::verdicts(&record);
    record
}

fn chat(record: &mut BenchRecord) -> &mut ChatResult {
    record.run.chat.as_mut().unwrap()
}

fn changed(change: impl FnOnce(&mut BenchRecord)) -> BenchRecord {
    let mut record = record();
    change(&mut record);
    record.verdicts = verdicts::verdicts(&record);
    record
}

/// Returns the tone and text of each verdict.
fn texts(record: &BenchRecord) -> Vec<(Tone, &str)> {
    record.verdicts.iter().map(|verdict| (verdict.tone, verdict.text.as_str())).collect()
}

#[test]
fn proof_is_one_sentence() {
    let proof =
        "Every one of 1,000 members received every id of its room once, in order (12,345 ids, 12,345,000 deliveries).";
    assert_eq!(texts(&record()), [(Tone::Good, proof)]);
    assert_eq!(verdicts::failure(&record()), None);
    let table = table(&record());
    for words in ["2,000,000 /s", "120 ms", "400 ns", "400 µs", "560 B", "80 %"] {
        assert!(table.contains(words), "{words}:\n{table}");
    }
    let page = html(&record());
    assert!(page.contains(proof) && page.contains("CPU/delivery"));
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
        record.run.faults = faults(&[("missing", 2), ("broken", 1)]);
        chat(record).proof.violations = vec![violation];
    });
    let wrong = "Something went wrong: 2 ids never reached members, 1 member was disconnected by the server.";
    assert_eq!(texts(&record), [(Tone::Bad, wrong), (Tone::Bad, "Member 17 never received id 105 of lobby.")]);
    let failure = "2 ids never reached members, 1 member was disconnected by the server";
    assert_eq!(verdicts::failure(&record).as_deref(), Some(failure));
    assert!(table(&record).contains("missing  broken\nfaults"), "{}", table(&record));
}

#[test]
fn every_kind_of_fault_has_a_text() {
    let counted: Vec<_> = (0..).zip(ChatFaults::default().named()).map(|(index, (kind, _))| (kind, index)).collect();
    let text = faults_text("chat", &counted).unwrap();
    assert_eq!(text.split(", ").count(), 10, "{text}");
    assert!(text.contains("1 message arrived twice, 2 messages arrived after later ones"), "{text}");
    assert!(text.ends_with("10 members were disconnected by the server"), "{text}");
}

#[test]
fn outstanding_deliveries_are_noted_and_fail() {
    let record = changed(|record| {
        (record.run.ended_early, record.run.elapsed_ns) = (Some("signal"), 2_000_000_000);
        chat(record).proof.awaited = 7;
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
            (record.load.activity, record.load.rate_per_second, record.run.due) = ("open", Some(2e3), Some(10_000));
            chat(record).delivered = delivered;
        });
        texts(&record).iter().any(|(_, text)| text.starts_with("The rate was not reached: at 2,000 /s,"))
    };
    assert!(open(9_000_000) && !open(9_995_000));
}

#[test]
fn equal_counts_of_deliveries_are_not_compared() {
    let record = changed(|record| {
        (record.load.activity, record.load.rate_per_second, record.run.due) = ("open", Some(2e3), Some(10_000));
        chat(record).proof.awaited = 7;
    });
    assert_eq!(texts(&record).len(), 1, "{:?}", record.verdicts);
}

#[test]
fn a_run_stopped_before_all_have_joined_makes_no_claim_about_all() {
    let stopped = |activity: &'static str| {
        changed(|record| {
            (record.run.ended_early, record.run.elapsed_ns) = (Some("signal"), 0);
            (chat(record).deliveries, chat(record).proof.received) = (0, 0);
            (record.load.activity, record.run.connections.open_at_end) = (activity, 400);
        })
    };
    let early = "The run ended early: a signal stopped it, before the measured time.";
    let joined = "400 of 1,000 members had joined when the run ended.";
    assert_eq!(texts(&stopped("idle")), [(Tone::Note, joined), (Tone::Note, early)]);
    assert_eq!(texts(&stopped("closed")), [(Tone::Note, early)]);
}

#[test]
fn a_run_without_deliveries_fails_unless_idle() {
    let nothing = |record: &mut BenchRecord| {
        (chat(record).deliveries, chat(record).proof.received) = (0, 0);
    };
    let record = changed(nothing);
    assert_eq!(texts(&record)[0], (Tone::Bad, "No message was delivered."));
    assert_eq!(verdicts::failure(&record).as_deref(), Some("no message was delivered"));
    let idle = changed(|record| {
        nothing(record);
        record.load.activity = "idle";
    });
    assert_eq!(texts(&idle), [(Tone::Good, "All 1,000 members had joined after 120 ms and stayed until the end.")]);
    assert_eq!(verdicts::failure(&idle), None);
}

#[test]
fn load_is_described_in_one_sentence() {
    let about = |change: fn(&mut LoadRecord)| load_text::about(&changed(|record| change(&mut record.load)));
    let tail = "5 s after 1 s of warm-up. Own server, reactor engine; u32be frames.";
    let one = "1,000 members in one room, 1 of them sends messages of 64 B, one in flight in each room; ";
    assert_eq!(about(|_| ()), one.to_owned() + tail);
    let open = about(|load| {
        (load.activity, load.in_flight, load.rate_per_second) = ("open", None, Some(1e3));
        (load.rooms, load.publishers) = (Some(10), Some(20));
    });
    let many = "1,000 members in 10 rooms, 20 of them send 1,000 messages of 64 B per second, whether or not they are delivered; ";
    assert_eq!(open, many.to_owned() + tail);
}
