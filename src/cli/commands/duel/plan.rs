//! What was typed after `duel`, understood: the points, the rounds, and what both engines are told.

use std::path::PathBuf;
use std::time::Duration;

use switchboard::Framing;
use switchboard::load::Activity;

use super::args::DuelArgs;
use super::record::Engine;
use crate::cli::error::CliError;
use crate::cli::process::{LoadRequirements, MAX_CONNECTIONS};
use crate::cli::units::Rate;

const CONNECTIONS: [usize; 5] = [1, 10, 100, 1_000, 5_000];
const QUICK_CONNECTIONS: [usize; 3] = [1, 50, 1_000];
const SECONDS: f64 = 3.0;
const QUICK_SECONDS: f64 = 1.2;
const WARM_UP: Duration = Duration::from_millis(500);
const QUICK_WARM_UP: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;
/// Descriptors for all that is no connection.
const OTHER_DESCRIPTORS: u64 = 64;
/// What a run takes beside its warm-up and its measured time: a process that starts and stops, connections that are opened.
const OVERHEAD: Duration = Duration::from_millis(100);

/// All that `duel` needs to know.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) service: &'static str,
    /// The points, in ascending order, none of them twice.
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

impl Plan {
    pub(super) fn new(typed: DuelArgs) -> Result<Self, CliError> {
        let usage = |what: &str| Err(CliError::Usage(what.to_owned()));
        let by_default = |usual, quick| if typed.quick { quick } else { usual };
        let rounds = typed.rounds.unwrap_or(ROUNDS);
        if rounds < 2 {
            return usage("--rounds must be at least 2, because one round cannot tell a difference from chance");
        }
        let mut connections = typed.connections;
        if connections.is_empty() {
            connections = if typed.quick { QUICK_CONNECTIONS.to_vec() } else { CONNECTIONS.to_vec() };
        }
        connections.sort_unstable();
        connections.dedup();
        if connections.first() == Some(&0) {
            return usage("--connections must be at least 1 each");
        }
        if connections.last() > Some(&MAX_CONNECTIONS) {
            return usage("--connections must be at most 1000000 each");
        }
        let activity = match (typed.in_flight, typed.rate) {
            (Some(0), _) => return usage("--in-flight must be at least 1"),
            (_, Some(Rate(rate))) => Activity::Open { rate },
            (in_flight, None) => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
        };
        Ok(Self {
            service: typed.service,
            connections,
            payload_bytes: typed.payload.0,
            activity,
            framing: typed.framing,
            work_us: typed.work_us,
            duration: Duration::from_secs_f64(
                typed.seconds.map_or(by_default(SECONDS, QUICK_SECONDS), |typed| typed.0),
            ),
            warm_up: typed.warm_up.map_or(if typed.quick { QUICK_WARM_UP } else { WARM_UP }, |typed| typed.0),
            rounds,
            pin: !typed.no_pin,
            json: typed.json,
            html: typed.html,
        })
    }

    /// Which engines run in a round, and in which order: each is first in every other round, so that what drifts (heat, a
    /// neighbour's work) does not always meet the same one.
    pub(super) fn order(round: usize) -> [Engine; 2] {
        if round % 2 == 1 { [Engine::Reactor, Engine::Threads] } else { [Engine::Threads, Engine::Reactor] }
    }

    /// Runs at one point.
    pub(super) fn runs_per_point(&self) -> usize {
        2 * self.rounds
    }

    /// What one run takes, about.
    pub(super) fn run_length(&self) -> Duration {
        self.warm_up + self.duration + OVERHEAD
    }

    /// Whether all this could be had within a limit on open descriptors; in words if not.
    pub(super) fn too_many_descriptors(connections: usize, limit: Option<u64>) -> Option<String> {
        let needs = connections as u64 + OTHER_DESCRIPTORS;
        let limit = limit.filter(|limit| needs > *limit)?;
        Some(format!(
            "it needs {needs} file descriptors on either side, and the limit is {limit}: raise it with ulimit -n"
        ))
    }

    /// What the server is told, so that it runs the engine and meets no limit that this is not about.
    pub(super) fn options(&self, engine: Engine, connections: usize) -> Vec<String> {
        let mut options = Vec::new();
        let mut option = |flag: &str, value: String| options.extend([flag.to_owned(), value]);
        option("--engine", engine.name().to_owned());
        option("--framing", self.framing.to_string());
        if self.work_us > 0 {
            option("--work-us", self.work_us.to_string());
        }
        let demand = LoadRequirements {
            connections,
            in_flight: LoadRequirements::in_flight_estimate(self.activity),
            frame_bytes: *self.payload_bytes.end(),
        };
        options.extend(demand.options());
        options
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, CliCommand};

    fn plan(words: &str) -> Result<Plan, CliError> {
        let words = ["switchboard", "duel", "echo"].into_iter().chain(words.split_whitespace());
        let CliCommand::Duel(typed) = Args::try_parse_from(words).unwrap().command else { panic!("not duel") };
        Plan::new(*typed)
    }

    #[test]
    fn nothing_typed_is_five_points_of_five_rounds() {
        let plan = plan("").unwrap();
        assert_eq!(plan.connections, CONNECTIONS);
        assert_eq!((plan.rounds, plan.duration.as_secs(), plan.pin), (5, 3, true));
        assert_eq!(plan.activity, Activity::Closed { in_flight: 1 });
        assert_eq!(plan.payload_bytes, 64..=64);
    }

    #[test]
    fn a_taste_takes_about_a_minute_and_what_is_typed_still_counts() {
        let quick = plan("--quick").unwrap();
        let runs = u32::try_from(quick.connections.len() * quick.runs_per_point()).unwrap();
        assert!((40..=65).contains(&(quick.run_length() * runs).as_secs()), "{:?}", quick.run_length() * runs);
        let quick = plan("--quick --connections 7 --seconds 2 --rounds 3 --warm-up 1s").unwrap();
        assert_eq!((quick.connections, quick.duration.as_secs(), quick.rounds), (vec![7], 2, 3));
        assert_eq!(quick.warm_up.as_secs(), 1);
    }

    #[test]
    fn points_are_in_order_and_none_of_them_is_there_twice() {
        assert_eq!(plan("--connections 100,1,10,1 -c 5").unwrap().connections, [1, 5, 10, 100]);
    }

    #[test]
    fn each_engine_is_first_as_often_as_second() {
        let first: Vec<_> = (1..=4).map(|round| Plan::order(round)[0]).collect();
        assert_eq!(first, [Engine::Reactor, Engine::Threads, Engine::Reactor, Engine::Threads]);
        assert!((1..=4).all(|round| Plan::order(round)[0] != Plan::order(round)[1]));
    }

    #[test]
    fn both_engines_are_told_the_same_but_for_their_name() {
        let plan = plan("--framing lines --work-us 20 --payload 2MiB").unwrap();
        let reactor = plan.options(Engine::Reactor, 200_000).join(" ");
        let flags = "--work-us 20 --max-connections 200000 --max-frame-bytes 2097152";
        assert!(reactor.starts_with(&format!("--engine reactor --framing lines {flags}")), "{reactor}");
        assert_eq!(plan.options(Engine::Threads, 200_000).join(" "), reactor.replace("reactor", "threads"));
    }

    #[test]
    fn descriptors_are_counted_before_anything_is_tried() {
        assert_eq!(Plan::too_many_descriptors(1_000, Some(1_064)), None);
        assert_eq!(Plan::too_many_descriptors(1_000_000, None), None);
        assert!(Plan::too_many_descriptors(1_001, Some(1_064)).unwrap().contains("needs 1065"));
    }

    #[test]
    fn what_means_nothing_is_wrong_usage() {
        for (words, says) in [
            ("--rounds 1", "--rounds must be at least 2"),
            ("--connections 0,1", "--connections must be at least 1"),
            ("--connections 2000000", "--connections must be at most"),
            ("--in-flight 0", "--in-flight must be at least 1"),
        ] {
            match plan(words) {
                Err(CliError::Usage(what)) => assert!(what.starts_with(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
