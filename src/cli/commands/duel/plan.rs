//! The plan of `duel`: its typed arguments, checked and combined into points, rounds and server
//! arguments.

use std::path::PathBuf;
use std::time::Duration;

use switchboard::load::Activity;
use switchboard::{Framing, Limits};

use super::args::DuelArgs;
use super::record::DuelEngine;
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;
use crate::cli::units::Rate;

const DEFAULT_CONNECTIONS: [usize; 5] = [1, 10, 100, 1_000, 5_000];
const QUICK_CONNECTIONS: [usize; 3] = [1, 50, 1_000];
const DEFAULT_SECONDS: f64 = 3.0;
const QUICK_SECONDS: f64 = 1.2;
const DEFAULT_WARM_UP: Duration = Duration::from_millis(500);
const QUICK_WARM_UP: Duration = Duration::from_millis(300);
const DEFAULT_ROUNDS: usize = 5;
/// Descriptors of a process beside its connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// Time of a run beside its warm-up and measured time: starting and stopping the server,
/// connecting.
const RUN_OVERHEAD: Duration = Duration::from_millis(100);

/// A comparison of both engines.
#[derive(Clone, Debug)]
pub(super) struct DuelPlan {
    pub(super) service: &'static str,
    /// The points, in ascending order and without duplicates.
    pub(super) connections: Vec<usize>,
    pub(super) payload_bytes: std::ops::RangeInclusive<usize>,
    pub(super) activity: Activity,
    pub(super) framing: Framing,
    pub(super) work_us: u32,
    pub(super) duration: Duration,
    pub(super) warm_up: Duration,
    pub(super) rounds: usize,
    pub(super) pin: bool,
    pub(super) json: bool,
    pub(super) html: Option<PathBuf>,
}

impl DuelPlan {
    pub(super) fn new(args: DuelArgs) -> Result<Self, CliError> {
        let usage_error = |text: &str| Err(CliError::Usage(text.to_owned()));
        let default_or_quick = |default, quick| if args.quick { quick } else { default };
        let rounds = args.rounds.unwrap_or(DEFAULT_ROUNDS);
        if rounds < 2 {
            return usage_error("--rounds must be at least 2, because one round cannot tell a difference from chance");
        }
        let mut connections = args.connections;
        if connections.is_empty() {
            connections = if args.quick { QUICK_CONNECTIONS.to_vec() } else { DEFAULT_CONNECTIONS.to_vec() };
        }
        connections.sort_unstable();
        connections.dedup();
        if connections.first() == Some(&0) {
            return usage_error("--connections must be at least 1 each");
        }
        if connections.last() > Some(&Limits::MAX_CONNECTIONS) {
            return usage_error("--connections must be at most 1000000 each");
        }
        let activity = match (args.in_flight, args.rate) {
            (Some(0), _) => return usage_error("--in-flight must be at least 1"),
            (_, Some(Rate(rate))) => Activity::Open { rate },
            (in_flight, None) => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
        };
        Ok(Self {
            service: args.service,
            connections,
            payload_bytes: args.payload.0,
            activity,
            framing: args.framing,
            work_us: args.work_us,
            duration: Duration::from_secs_f64(
                args.seconds.map_or(default_or_quick(DEFAULT_SECONDS, QUICK_SECONDS), |seconds| seconds.0),
            ),
            warm_up: args.warm_up.map_or(if args.quick { QUICK_WARM_UP } else { DEFAULT_WARM_UP }, |warm_up| warm_up.0),
            rounds,
            pin: !args.no_pin,
            json: args.json,
            html: args.html,
        })
    }

    /// Returns both engines in the order of a round. Each engine is first in every other round, so
    /// that a drift of the machine (temperature, other processes) affects both.
    pub(super) fn order(round: usize) -> [DuelEngine; 2] {
        if round % 2 == 1 {
            [DuelEngine::Reactor, DuelEngine::Threads]
        } else {
            [DuelEngine::Threads, DuelEngine::Reactor]
        }
    }

    /// Returns the number of runs at one point.
    pub(super) fn runs_per_point(&self) -> usize {
        2 * self.rounds
    }

    /// Returns the approximate length of one run.
    pub(super) fn run_length(&self) -> Duration {
        self.warm_up + self.duration + RUN_OVERHEAD
    }

    /// Returns an error text if the connections exceed the limit on open descriptors.
    pub(super) fn descriptor_error(connections: usize, limit: Option<u64>) -> Option<String> {
        let needed = connections as u64 + OTHER_DESCRIPTORS;
        let limit = limit.filter(|limit| needed > *limit)?;
        Some(format!(
            "too few file descriptors: server and load need {needed} each, the limit is {limit}; raise it with 'ulimit -n {needed}'"
        ))
    }

    /// Returns the arguments of `serve` that choose the engine and raise the limits above the load.
    pub(super) fn serve_args(&self, engine: DuelEngine, connections: usize) -> Vec<String> {
        let mut args = Vec::new();
        let mut push = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        push("--engine", engine.name().to_owned());
        push("--framing", self.framing.to_string());
        if self.work_us > 0 {
            push("--work-us", self.work_us.to_string());
        }
        let requirements = LoadRequirements {
            connections,
            in_flight: LoadRequirements::in_flight_estimate(self.activity),
            max_payload_bytes: *self.payload_bytes.end(),
        };
        args.extend(requirements.serve_args());
        args
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

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
        assert_eq!((plan.rounds, plan.duration.as_secs(), plan.pin), (5, 3, true));
        assert_eq!(plan.activity, Activity::Closed { in_flight: 1 });
        assert_eq!(plan.payload_bytes, 64..=64);
    }

    #[test]
    fn quick_takes_about_a_minute_and_yields_to_other_flags() {
        let quick = plan("--quick").unwrap();
        let runs = u32::try_from(quick.connections.len() * quick.runs_per_point()).unwrap();
        assert!((40..=65).contains(&(quick.run_length() * runs).as_secs()), "{:?}", quick.run_length() * runs);
        let quick = plan("--quick --connections 7 --seconds 2 --rounds 3 --warm-up 1s").unwrap();
        assert_eq!((quick.connections, quick.duration.as_secs(), quick.rounds), (vec![7], 2, 3));
        assert_eq!(quick.warm_up.as_secs(), 1);
    }

    #[test]
    fn connections_are_sorted_without_duplicates() {
        assert_eq!(plan("--connections 100,1,10,1 -c 5").unwrap().connections, [1, 5, 10, 100]);
    }

    #[test]
    fn each_engine_is_first_in_every_other_round() {
        let first: Vec<_> = (1..=4).map(|round| DuelPlan::order(round)[0]).collect();
        assert_eq!(first, [DuelEngine::Reactor, DuelEngine::Threads, DuelEngine::Reactor, DuelEngine::Threads]);
        assert!((1..=4).all(|round| DuelPlan::order(round)[0] != DuelPlan::order(round)[1]));
    }

    #[test]
    fn both_engines_get_the_same_serve_args() {
        let plan = plan("--framing lines --work-us 20 --payload 2MiB").unwrap();
        let reactor = plan.serve_args(DuelEngine::Reactor, 200_000).join(" ");
        let flags = "--work-us 20 --max-connections 200000 --max-frame-bytes 2097152";
        assert!(reactor.starts_with(&format!("--engine reactor --framing lines {flags}")), "{reactor}");
        assert_eq!(plan.serve_args(DuelEngine::Threads, 200_000).join(" "), reactor.replace("reactor", "threads"));
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
            ("--connections 0,1", "--connections must be at least 1"),
            ("--connections 2000000", "--connections must be at most"),
            ("--in-flight 0", "--in-flight must be at least 1"),
        ] {
            match plan(args) {
                Err(CliError::Usage(text)) => assert!(text.starts_with(prefix), "{args}: {text}"),
                other => panic!("{args}: {other:?}"),
            }
        }
    }
}
