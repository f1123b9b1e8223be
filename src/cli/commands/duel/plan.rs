//! The plan of `duel`: its typed arguments, checked and combined into points, rounds and server
//! arguments.

use std::net::Ipv4Addr;
use std::time::Duration;

use switchboard::Endpoint;
use switchboard::load::LoadConfig;

use super::args::DuelArgs;
use super::record::ENGINES;
use crate::cli::commands::bench::plan::{BenchPlan, PlannedLoad};
use crate::cli::commands::bench::run_error::RunError;
use crate::cli::commands::bench::server_source::ServerSource;
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;

const DEFAULT_CONNECTIONS: [usize; 5] = [1, 10, 100, 1_000, 5_000];
const QUICK_CONNECTIONS: [usize; 3] = [1, 50, 1_000];
const DEFAULT_DURATION: Duration = Duration::from_secs(3);
const QUICK_DURATION: Duration = Duration::from_millis(1200);
const DEFAULT_WARM_UP: Duration = Duration::from_millis(500);
const QUICK_WARM_UP: Duration = Duration::from_millis(300);
const DEFAULT_ROUNDS: usize = 5;
/// The most rounds. More would make an interval narrower than the drift of the machine.
const MAX_ROUNDS: usize = 1_000;
/// Descriptors of a process beside its connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// The listener of each server, at a free port.
const LISTEN: &str = "127.0.0.1:0";

/// A comparison of both engines.
#[derive(Clone, Debug)]
pub(super) struct DuelPlan {
    /// The points, in ascending order and without duplicates.
    pub(super) connections: Vec<usize>,
    /// The load of each run, but for its connections.
    pub(super) load: LoadConfig,
    pub(super) work_us: u32,
    pub(super) rounds: usize,
    pub(super) pin: bool,
}

impl DuelPlan {
    pub(super) fn new(args: DuelArgs) -> Result<Self, CliError> {
        let rounds = args.rounds.unwrap_or(DEFAULT_ROUNDS);
        if rounds < 2 {
            return Err(CliError::Usage(
                "--rounds must be at least 2, because one round cannot tell a difference from chance".to_owned(),
            ));
        }
        if rounds > MAX_ROUNDS {
            return Err(CliError::Usage(format!("--rounds must be at most {MAX_ROUNDS}")));
        }
        let mut connections = args.connections;
        if connections.is_empty() {
            connections = if args.quick { QUICK_CONNECTIONS.to_vec() } else { DEFAULT_CONNECTIONS.to_vec() };
        }
        connections.sort_unstable();
        connections.dedup();
        let default_or_quick = |default, quick| if args.quick { quick } else { default };
        let load = LoadConfig {
            target: Endpoint::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            framing: args.framing,
            connections: 0,
            activity: args.traffic.activity(),
            payload_bytes: args.traffic.payload.0,
            slow_readers: 0,
            ramp: Duration::ZERO,
            warm_up: args.warm_up.map_or(default_or_quick(DEFAULT_WARM_UP, QUICK_WARM_UP), |warm_up| warm_up.0),
            duration: args.duration.map_or(default_or_quick(DEFAULT_DURATION, QUICK_DURATION), |duration| duration.0),
            reply_timeout: args.reply_timeout.0,
            // One seed, so that both engines receive the same bytes.
            seed: 1,
        };
        for connections in &connections {
            LoadConfig { connections: *connections, ..load.clone() }.validate().map_err(RunError::from)?;
        }
        Ok(Self { connections, load, work_us: args.work_us, rounds, pin: !args.no_pin })
    }

    /// Returns the load of the point with the most connections.
    pub(super) fn largest_load(&self) -> Option<PlannedLoad> {
        let connections = *self.connections.last()?;
        Some(PlannedLoad::Echo(LoadConfig { connections, ..self.load.clone() }))
    }

    /// Returns both engines in the order of a round. Each engine is first in every other round, so
    /// that a drift of the machine (temperature, other processes) affects both.
    pub(super) fn order(round: usize) -> [EngineName; 2] {
        let [reactor, threads] = ENGINES;
        if round % 2 == 1 { [reactor, threads] } else { [threads, reactor] }
    }

    /// Returns the number of runs at one point.
    pub(super) fn runs_per_point(&self) -> usize {
        ENGINES.len() * self.rounds
    }

    /// Returns an error text if the connections exceed the limit on open descriptors.
    pub(super) fn descriptor_error(connections: usize, limit: Option<u64>) -> Option<String> {
        let needed = (connections as u64).saturating_add(OTHER_DESCRIPTORS);
        let limit = limit.filter(|limit| needed > *limit)?;
        Some(format!(
            "too few file descriptors: server and load need {needed} each, the limit is {limit}; raise it with 'ulimit -n {needed}'"
        ))
    }

    /// Returns the plan of one run. Both engines get the same limits, raised above the load.
    pub(super) fn run(&self, engine: EngineName, connections: usize) -> BenchPlan {
        let mut args = vec!["--engine".to_owned(), engine.name().to_owned()];
        args.extend(["--framing".to_owned(), self.load.framing.to_string()]);
        if self.work_us > 0 {
            args.extend(["--work-us".to_owned(), self.work_us.to_string()]);
        }
        let requirements = LoadRequirements {
            connections,
            in_flight: LoadRequirements::in_flight_estimate(self.load.activity),
            max_payload_bytes: *self.load.payload_bytes.end(),
        };
        args.extend(requirements.serve_args());
        BenchPlan {
            server: ServerSource::Spawned { listen: LISTEN.to_owned(), engine, args, pin: self.pin },
            framing: self.load.framing,
            load: PlannedLoad::Echo(LoadConfig { connections, ..self.load.clone() }),
            needs_all_connections: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use switchboard::load::Activity;

    use super::*;
    use crate::cli::args::{Args, CliCommand};

    fn plan(args: &str) -> Result<DuelPlan, CliError> {
        let args = ["switchboard", "duel", "echo"].into_iter().chain(args.split_whitespace());
        let CliCommand::Duel(args) = Args::try_parse_from(args).unwrap().command else { panic!("not duel") };
        DuelPlan::new(*args)
    }

    #[test]
    fn default_is_five_points_of_five_rounds() {
        let plan = plan("").unwrap();
        assert_eq!(plan.connections, DEFAULT_CONNECTIONS);
        assert_eq!((plan.rounds, plan.load.duration.as_secs(), plan.pin), (5, 3, true));
        assert_eq!(plan.load.activity, Activity::Closed { in_flight: 1 });
        assert_eq!(plan.load.payload_bytes, 64..=64);
    }

    #[test]
    fn quick_takes_about_a_minute_and_yields_to_other_flags() {
        let quick = plan("--quick").unwrap();
        let runs = u32::try_from(quick.connections.len() * quick.runs_per_point()).unwrap();
        // Starting and stopping a server and connecting take another 100 ms.
        let length = (quick.load.warm_up + quick.load.duration + Duration::from_millis(100)) * runs;
        assert!((40..=65).contains(&length.as_secs()), "{length:?}");
        let quick = plan("--quick --connections 7 --duration 2s --rounds 3 --warm-up 1s").unwrap();
        assert_eq!((quick.connections, quick.load.duration.as_secs(), quick.rounds), (vec![7], 2, 3));
        assert_eq!(quick.load.warm_up.as_secs(), 1);
    }

    #[test]
    fn the_length_of_a_run_is_that_of_bench_and_has_its_old_name() {
        for args in ["--duration 1500ms", "-d 1500ms", "--duration 1.5", "--seconds 1.5", "-s 1.5"] {
            assert_eq!(plan(args).unwrap().load.duration, Duration::from_millis(1500), "{args}");
        }
        assert_eq!(plan("-d 5").unwrap().load.duration.as_secs(), 5);
    }

    #[test]
    fn connections_are_sorted_without_duplicates() {
        assert_eq!(plan("--connections 100,1,10,1 -c 5").unwrap().connections, [1, 5, 10, 100]);
    }

    #[test]
    fn each_engine_is_first_in_every_other_round() {
        let first: Vec<_> = (1..=4).map(|round| DuelPlan::order(round)[0]).collect();
        assert_eq!(first, [ENGINES[0], ENGINES[1], ENGINES[0], ENGINES[1]]);
        assert!((1..=4).all(|round| DuelPlan::order(round)[0] != DuelPlan::order(round)[1]));
    }

    #[test]
    fn both_engines_get_the_same_serve_args() {
        let plan = plan("--framing lines --work-us 20 --payload 2MiB").unwrap();
        let serve_args = |engine| match plan.run(engine, 200_000).server {
            ServerSource::Spawned { args, .. } => args.join(" "),
            ServerSource::Existing { .. } => panic!("not spawned"),
        };
        let reactor = serve_args(EngineName::Reactor);
        let flags = "--work-us 20 --max-connections 200000 --max-frame-bytes 2097152";
        assert!(reactor.starts_with(&format!("--engine reactor --framing lines {flags}")), "{reactor}");
        assert_eq!(serve_args(EngineName::Threads), reactor.replace("reactor", "threads"));
    }

    #[test]
    fn descriptor_error_beyond_the_limit() {
        assert_eq!(DuelPlan::descriptor_error(1_000, Some(1_064)), None);
        assert_eq!(DuelPlan::descriptor_error(1_000_000, None), None);
        assert!(DuelPlan::descriptor_error(1_001, Some(1_064)).unwrap().contains("need 1065"));
    }

    #[test]
    fn contradictory_arguments_are_a_usage_error() {
        for (args, prefix) in [
            ("--rounds 1", "--rounds must be at least 2"),
            ("--rounds 18446744073709551615", "--rounds must be at most 1000"),
            ("--connections 0,1", "--connections: at least one is needed"),
            ("--connections 1,2000000", "--connections: at most 1000000 are possible"),
            ("--in-flight 0", "--in-flight: at least one is needed"),
            (
                "--in-flight 1000000000 -c 1",
                "--in-flight: at most 16777216 are possible on each connection (connections: 1)",
            ),
            ("--duration 0", "--duration: must be longer than zero"),
            ("--payload 1G -c 17", "--payload: 1073741824 bytes on each of 17 connections exceed"),
        ] {
            match plan(args) {
                Err(CliError::Usage(text)) => assert!(text.starts_with(prefix), "{args}: {text}"),
                other => panic!("{args}: {other:?}"),
            }
        }
    }
}
