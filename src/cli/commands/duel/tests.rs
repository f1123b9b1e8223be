//! Records for the tests of this folder.

use super::compare::compare;
use super::record::{DuelPoint, DuelRecord, DuelRun, DuelSetup, ENGINES};
use crate::cli::commands::bench::result::{LoadRecord, RunResult};
use crate::cli::commands::bench::tests::{distribution, run_result};
use crate::cli::engine::EngineName;
use crate::cli::process::PinnedCpus;
use crate::cli::report::record::RecordHeader;

/// Returns a record of these points.
pub(super) fn record(points: Vec<DuelPoint>) -> DuelRecord {
    let mut header = RecordHeader::new();
    header.machine.profile = "release".to_owned();
    DuelRecord {
        header,
        setup: DuelSetup {
            service: "echo",
            framing: "u32be".to_owned(),
            load: LoadRecord {
                activity: "closed",
                in_flight: Some(1),
                payload_min_bytes: 64,
                payload_max_bytes: 64,
                duration_ns: 3_000_000_000,
                warm_up_ns: 500_000_000,
                ..LoadRecord::default()
            },
            work_us: 0,
            rounds: 3,
            pinned: Some(PinnedCpus { server_cpus: vec![0], load_cpu: 1 }),
        },
        confidence: 0.75,
        points,
        findings: Vec::new(),
        notes: Vec::new(),
    }
}

/// Returns a complete point at which the reactor has this throughput and threads have 100.
pub(super) fn point(connections: usize, reactor: f64) -> DuelPoint {
    let round = |round| [run(ENGINES[0], round, reactor, 10.0), run(ENGINES[1], round, 100.0, 10.0 * reactor)];
    let runs: Vec<_> = (1..=3).flat_map(round).collect();
    DuelPoint { connections, skipped: None, complete: true, comparisons: compare(&runs), runs }
}

/// Returns a run with these figures and fixed others.
pub(super) fn run(engine: EngineName, round: usize, messages_per_second: f64, cpu_ns: f64) -> DuelRun {
    let mut result =
        RunResult { messages: 1_000, messages_per_second, latency_ns: Some(distribution(1_000)), ..run_result() };
    if let Some(server) = &mut result.server {
        server.cpu_ns_per_message = Some(cpu_ns);
        server.bytes_per_connection = None;
    }
    DuelRun { engine, round, first: true, result }
}
