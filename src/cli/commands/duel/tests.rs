//! Records for the tests of this folder.

use switchboard::load::Faults;

use super::compare::compare;
use super::record::{DuelEngine, DuelGenerator, DuelPoint, DuelRecord, DuelRun, DuelServer, DuelSetup, SCHEMA};
use crate::cli::process::{MachineInfo, PinnedCpus};

/// Returns a record of these points.
pub(super) fn record(points: Vec<DuelPoint>) -> DuelRecord {
    DuelRecord {
        schema: SCHEMA,
        command: "switchboard duel echo".to_owned(),
        started_at: "2026-01-02T03:04:05+00:00".to_owned(),
        machine: MachineInfo { profile: "release".to_owned(), ..MachineInfo::current() },
        setup: DuelSetup {
            service: "echo",
            framing: "u32be".to_owned(),
            payload_min_bytes: 64,
            payload_max_bytes: 64,
            in_flight: Some(1),
            rate_per_second: None,
            work_us: 0,
            duration_ns: 3_000_000_000,
            warm_up_ns: 500_000_000,
            rounds: 3,
            pinned: Some(PinnedCpus { server_cpus: vec![0], load_cpu: 1 }),
        },
        confidence: 0.75,
        interrupted: false,
        points,
        findings: Vec::new(),
        notes: Vec::new(),
    }
}

/// Returns a complete point at which the reactor has this throughput and threads have 100.
pub(super) fn point(connections: usize, reactor: f64) -> DuelPoint {
    let round = |round| {
        [run(DuelEngine::Reactor, round, reactor, 10.0), run(DuelEngine::Threads, round, 100.0, 10.0 * reactor)]
    };
    let runs: Vec<_> = (1..=3).flat_map(round).collect();
    DuelPoint { connections, skipped: None, complete: true, comparisons: compare(&runs), runs }
}

/// Returns a run with these figures and fixed others.
pub(super) fn run(engine: DuelEngine, round: usize, messages_per_second: f64, cpu_ns: f64) -> DuelRun {
    DuelRun {
        engine,
        round,
        first: true,
        elapsed_ns: 1_000_000_000,
        messages: 1_000,
        answered: 1_000,
        due: None,
        unanswered: None,
        messages_per_second,
        p50_ns: Some(50_000),
        p99_ns: Some(99_000),
        p99_9_ns: Some(99_900),
        max_ns: Some(100_000),
        server: Some(DuelServer {
            cpu_ns: 1_000_000,
            cpu_ns_per_message: Some(cpu_ns),
            cores: 0.5,
            at_limit: false,
            rss_before_bytes: 1 << 20,
            rss_bytes: 2 << 20,
            rss_bytes_per_connection: 1024.0,
            threads: 1,
            context_switches: 7,
            context_switches_per_message: Some(0.007),
        }),
        generator: DuelGenerator { cpu_ns: 1, busy: 0.5, bottleneck: None, send_lag_p99_ns: None },
        faults: Faults::default(),
    }
}
