//! The outputs of `bench`, made from fixed records.

mod chat_tests;
mod plan_tests;
mod verdict_tests;

use switchboard::load::Faults;

use super::result::{
    BenchRecord, ConnectionsRecord, Distribution, GeneratorRecord, LoadRecord, ObjectiveRecord, PercentileRecord,
    RunResult, SampleRecord, SearchRecord, SearchStepRecord, ServerRecord, TargetRecord,
};
use super::{load_text, report, samples, verdicts};
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::report::record::RecordHeader;
use crate::cli::report::{figure, page, text};

const NO_FAULTS: Faults = Faults { lost: 0, duplicated: 0, reordered: 0, corrupted: 0, refused: 0, broken: 0 };

/// Returns a distribution whose percentiles are multiples of `scale`.
pub(crate) fn distribution(scale: u64) -> Distribution {
    Distribution {
        count: 617_280,
        min: 10 * scale,
        mean: 33.3 * figure::float(scale),
        stdev: 1.0,
        p50: 31 * scale,
        p90: 50 * scale,
        p99: 120 * scale,
        p99_9: 400 * scale,
        p99_99: 1_200 * scale,
        max: 9_000 * scale,
    }
}

/// Returns the result of a faultless run in a closed loop on a spawned server.
pub(crate) fn run_result() -> RunResult {
    RunResult {
        ended_early: None,
        elapsed_ns: 5_000_000_000,
        messages: 617_280,
        answered: Some(617_280),
        due: None,
        unanswered: None,
        messages_per_second: 123_456.0,
        payload_bytes: 617_280 * 64,
        payload_bytes_per_second: 123_456.0 * 64.0,
        latency_ns: Some(distribution(10_000)),
        connections: ConnectionsRecord {
            open_at_end: 50,
            slow_readers_cut_off: 0,
            all_open_after_ns: 2_500_000,
            connect_ns: Some(distribution(1_000)),
        },
        faults: NO_FAULTS.named().to_vec(),
        generator: GeneratorRecord {
            cpu_ns: 3_000_000_000,
            cpu_ns_per_message: Some(4_860.0),
            cpu_ns_per_delivery: None,
            cores: 0.6,
            busy: 0.61,
            bottleneck: None,
            send_lag_ns: None,
        },
        server: Some(ServerRecord {
            pid: 4711,
            cpu_ns: 4_000_000_000,
            cpu_ns_per_message: Some(6_480.0),
            cpu_ns_per_delivery: None,
            cores: 0.8,
            usable_cpus: 1,
            at_limit: false,
            rss_before_bytes: Some(3_400_000),
            rss_bytes: 3_456_789,
            peak_rss_bytes: 3_556_789,
            bytes_per_connection: Some(1_234.5),
            threads: 1,
            context_switches: 12_345,
            context_switches_per_message: Some(0.02),
        }),
        chat: None,
    }
}

/// Returns the record of [`run_result`].
fn record() -> BenchRecord {
    let percentile = |nines: i32| PercentileRecord {
        percentile: 100.0 - 100.0 / 10_f64.powi(nines),
        latency_ns: 310_000 * 3_u64.pow(nines.unsigned_abs()),
    };
    let sample = |tenth: u64| SampleRecord {
        at_ns: tenth * 100_000_000,
        length_ns: 100_000_000,
        messages: 12_000 + tenth * 7 % 50,
        messages_per_second: 120_000.0 + figure::float(tenth * 7_919 % 9_000),
        p50_ns: 300_000 + tenth * 7_919 % 20_000,
        p99_ns: 1_100_000 + tenth * 104_729 % 300_000,
        max_ns: 3_000_000 + tenth * 104_729 % 4_000_000,
        faults: NO_FAULTS,
    };
    let mut record = BenchRecord {
        header: RecordHeader {
            command: "switchboard bench echo --html report.html".to_owned(),
            started_at: "2026-01-02T03:04:05+00:00".to_owned(),
            machine: MachineInfo {
                cpu_model: Some("A Processor".to_owned()),
                cpus: 2,
                memory_bytes: Some(8 << 30),
                kernel: "Linux 6.1".to_owned(),
                target: "x86_64 linux".to_owned(),
                profile: "release".to_owned(),
                version: "0.1.0".to_owned(),
            },
            ..RecordHeader::new()
        },
        target: TargetRecord {
            service: "echo",
            transport: "tcp",
            address: "127.0.0.1:7000".to_owned(),
            framing: Some("u32be".to_owned()),
            own: true,
            engine: Some("reactor".to_owned()),
            pinned: Some(PinnedCpus { server_cpus: vec![0], load_cpu: 1 }),
        },
        load: LoadRecord {
            activity: "closed",
            in_flight: Some(1),
            connections: Some(50),
            payload_min_bytes: 64,
            payload_max_bytes: 64,
            warm_up_ns: 1_000_000_000,
            duration_ns: 5_000_000_000,
            reply_timeout_ns: 5_000_000_000,
            seed: Some(1),
            ..LoadRecord::default()
        },
        run: run_result(),
        percentiles: (0..6)
            .map(percentile)
            .chain([PercentileRecord { percentile: 100.0, latency_ns: 90_000_000 }])
            .collect(),
        samples: (1..=50).map(sample).collect(),
        find_max: None,
        verdicts: Vec::new(),
    };
    record.verdicts = verdicts::verdicts(&record);
    record
}

/// Returns the terminal's form of a record.
fn table(record: &BenchRecord) -> String {
    text::render(&report::report(record))
}

fn html(record: &BenchRecord) -> String {
    page::render(&report::report(record))
}

#[test]
fn table_is_aligned_and_complete() {
    let text = "\
echo at tcp 127.0.0.1:7000
50 connections, 1 message of 64 B in flight on each; 5 s after 1 s of warm-up.
Own server, reactor engine; u32be frames.
A Processor, 2 cores; 8.00 GiB; Linux 6.1; switchboard 0.1.0, release build for
x86_64 linux; server on CPU 0, load on CPU 1.

                     per second     total
messages             123,456 /s   617,280
payload              7.54 MiB/s  37.7 MiB
connections                            50
all connected after               2.50 ms

             min      p50      p90      p99    p99.9   p99.99      max     mean
latency   100 µs   310 µs   500 µs  1.20 ms  4.00 ms  12.0 ms  90.0 ms   333 µs
connect  10.0 µs  31.0 µs  50.0 µs   120 µs   400 µs  1.20 ms  9.00 ms  33.3 µs

        lost  duplicated  reordered  corrupted  refused  broken
faults     0           0          0          0        0       0

                   generator    server
CPU/message          4.86 µs   6.48 µs
of a core               60 %      80 %
busy                    61 %         –
memory                     –  3.30 MiB
memory/connection          –  1.21 KiB
threads                    –         1
switches/message           –     0.020

ok     All 617,280 answers arrived, in order and equal to what was sent, byte
       for byte.
";
    assert_eq!(table(&record()), text);
}

#[test]
fn page_has_plots_and_figures() {
    let page = html(&record());
    if let Ok(path) = std::env::var("BENCH_DEMO") {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(page.matches("<svg class=\"drawing\"").count(), 3);
    for words in ["99.99 %", "123,456 /s", "310 µs", "A Processor", "--html report.html", "2026-01-02T03:04:05+00:00"]
    {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn an_empty_result_has_every_output() {
    let run = RunResult { messages: 0, latency_ns: None, server: None, ..run_result() };
    let empty = BenchRecord { run, percentiles: vec![], samples: vec![], ..record() };
    assert!(html(&empty).contains("There is no measurement to draw."));
    assert!(table(&empty).contains("per second"));
    assert_eq!(samples::csv(&empty.samples).unwrap().trim_end(), samples::HEADER.join(","));
}

#[test]
fn csv_has_a_row_for_each_sample() {
    let text = samples::csv(&record().samples).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(samples::HEADER.join(",").as_str()));
    assert_eq!(lines.next(), Some("100000000,100000000,12007,127919.0,307919,1204729,3104729,0,0,0,0,0,0"));
    assert_eq!(lines.count(), 49);
}

#[test]
fn load_is_described_in_one_sentence() {
    type Change = fn(&mut LoadRecord);
    let changes: [(Change, &str); 6] = [
        (|_| (), "50 connections, 1 message of 64 B in flight on each; 5 s after 1 s of warm-up."),
        (|load| load.in_flight = Some(16), "50 connections, 16 messages of 64 B in flight on each; 5 s"),
        (
            |load| (load.activity, load.in_flight, load.rate_per_second) = ("open", None, Some(1e4)),
            "50 connections, 10,000 messages of 64 B per second over all connections, whether or not answers arrive; 5 s",
        ),
        (|load| load.activity = "churn", "50 connections, each opened, used for one exchange of 64 B and closed"),
        (|load| (load.activity, load.connections) = ("idle", Some(1)), "1 connection, held after one exchange of 64 B"),
        (
            |load| (load.payload_max_bytes, load.slow_readers, load.warm_up_ns) = (16_384, 2, 0),
            "50 connections, 1 message of 64 B to 16 KiB in flight on each; 2 more that never read; 5 s.",
        ),
    ];
    for (change, prefix) in changes {
        let mut record = record();
        change(&mut record.load);
        let sentence = load_text::load(&record);
        assert!(sentence.starts_with(prefix), "{sentence}");
    }
}

/// Returns a search whose first rate held and whose second rate was too slow.
fn search() -> SearchRecord {
    let step = |rate: f64, verdict, latency_ns| SearchStepRecord {
        rate_per_second: rate,
        verdict,
        answered_per_second: rate,
        latency_ns: Some(latency_ns),
        generator_busy: 0.4,
        server_cores: Some(0.8),
        faults: NO_FAULTS,
    };
    SearchRecord {
        slo: ObjectiveRecord { text: "p99<5ms".to_owned(), percentile: 99.0, below_ns: 5_000_000 },
        rate_per_second: Some(20e3),
        ended: "found",
        steps: vec![step(20e3, "holds", 1_200_000), step(40e3, "too_slow", 80_000_000)],
    }
}

#[test]
fn search_steps_are_in_table_and_page() {
    let mut record = BenchRecord { find_max: Some(search()), ..record() };
    record.verdicts = verdicts::verdicts(&record);
    let text = table(&record);
    let steps = "
            answered      p99  generator  server CPU   p99<5ms
20,000 /s  20,000 /s  1.20 ms       40 %        80 %     holds
40,000 /s  40,000 /s  80.0 ms       40 %        80 %  too slow
";
    assert!(text.contains(steps), "{text}");
    assert!(text.contains("ok     p99<5ms holds at about 20,000 /s; the figures are those of this"), "{text}");
    let page = html(&record);
    assert_eq!(page.matches("<svg class=\"drawing\"").count(), 4);
    assert!(page.contains("p99 by rate") && page.contains("too slow"));
    record.find_max.as_mut().unwrap().steps.iter_mut().for_each(|step| {
        (step.verdict, step.rate_per_second, step.answered_per_second) = ("generator", 9_999_999.0, 9_999_999.0);
    });
    let text = table(&record);
    let widest = text.lines().filter(|line| line.ends_with("generator's limit")).map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|columns| columns <= 80), "{text}");
}
