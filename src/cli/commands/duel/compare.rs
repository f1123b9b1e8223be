//! What the rounds of a point come to: each engine's middle and reach, and who is better by how much.

use serde::Serialize;

use super::metric::{Better, Metric};
use super::record::{Engine, Run};
use super::statistics::{Ratio, Spread};
use super::verdict::Verdict;

/// The figures of one metric at one point.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) metric: &'static str,
    pub(super) reactor: Option<Spread>,
    pub(super) threads: Option<Spread>,
    /// How many times better the reactor is: above 1 it is better, below 1 threads are.
    pub(super) reactor_advantage: Option<Ratio>,
    pub(super) verdict: Option<Verdict>,
}

/// One for each metric, in their order.
pub(super) fn compare(runs: &[Run]) -> Vec<Comparison> {
    Metric::ALL.iter().map(|metric| Comparison::of(*metric, runs)).collect()
}

impl Comparison {
    fn of(metric: Metric, runs: &[Run]) -> Self {
        let all = |engine| runs.iter().filter(move |run| run.engine == engine).filter_map(move |run| metric.of(run));
        let spread = |engine| Spread::of(&all(engine).collect::<Vec<_>>());
        let advantage = advantage(metric, runs);
        Self {
            metric: metric.key(),
            reactor: spread(Engine::Reactor),
            threads: spread(Engine::Threads),
            reactor_advantage: advantage,
            verdict: advantage.map(Verdict::of),
        }
    }
}

fn advantage(metric: Metric, runs: &[Run]) -> Option<Ratio> {
    let of = |engine, round| runs.iter().find(|run| run.engine == engine && run.round == round);
    let rounds = runs.iter().filter(|run| run.engine == Engine::Reactor).map(|run| run.round);
    let pair = |round| {
        let reactor = metric.of(of(Engine::Reactor, round)?)?;
        Some((reactor, metric.of(of(Engine::Threads, round)?)?))
    };
    let ratio = Ratio::of(&rounds.map(pair).collect::<Option<Vec<_>>>()?)?;
    match metric.better() {
        Better::More => Some(ratio),
        Better::Less => Some(ratio.inverse()),
        Better::Neither => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::record::{Generator, Server};
    use super::*;
    use switchboard::load::Faults;

    /// A run with these figures; what is not named is of no interest.
    pub(in crate::cli::commands::duel) fn run(
        engine: Engine,
        round: usize,
        messages_per_second: f64,
        cpu_ns: f64,
    ) -> Run {
        Run {
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
            server: Some(Server {
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
            generator: Generator { cpu_ns: 1, busy: 0.5, bottleneck: None, send_lag_p99_ns: None },
            faults: Faults::default(),
        }
    }

    fn runs() -> Vec<Run> {
        let rounds = [(1, 200.0, 100.0), (2, 300.0, 100.0), (3, 240.0, 100.0)];
        let both = |(round, reactor, threads)| {
            [run(Engine::Reactor, round, reactor, 1e9 / reactor), run(Engine::Threads, round, threads, 1e9 / threads)]
        };
        rounds.into_iter().flat_map(both).collect()
    }

    fn of(metric: Metric, runs: &[Run]) -> Comparison {
        compare(runs).into_iter().find(|comparison| comparison.metric == metric.key()).unwrap()
    }

    #[test]
    fn more_is_better_or_less_is_and_either_way_above_one_is_the_reactors() {
        for metric in [Metric::Throughput, Metric::Cpu] {
            let comparison = of(metric, &runs());
            let Ratio { median, low, high } = comparison.reactor_advantage.unwrap();
            let shown = [median, low, high].map(|value| (value * 100.0).round() / 100.0);
            assert_eq!((shown, comparison.verdict), ([2.4, 2.0, 3.0], Some(Verdict::Reactor)), "{metric:?}");
        }
        assert_eq!(of(Metric::Throughput, &runs()).reactor, Some(Spread { median: 240.0, min: 200.0, max: 300.0 }));
        assert_eq!(of(Metric::P50, &runs()).verdict, Some(Verdict::Draw));
    }

    #[test]
    fn what_is_no_merit_has_no_ratio() {
        let threads = of(Metric::Threads, &runs());
        assert!(threads.reactor.is_some() && threads.reactor_advantage.is_none() && threads.verdict.is_none());
    }

    #[test]
    fn a_round_without_its_pair_leaves_no_ratio() {
        let mut runs = runs();
        runs.pop();
        assert_eq!(of(Metric::Cpu, &runs).reactor_advantage, None);
    }

    #[test]
    fn where_the_system_tells_nothing_the_rest_is_compared() {
        let mut runs = runs();
        for run in &mut runs {
            run.server = None;
        }
        assert!(of(Metric::Throughput, &runs).reactor_advantage.is_some());
        let cpu = of(Metric::Cpu, &runs);
        assert!(cpu.reactor.is_none() && cpu.reactor_advantage.is_none());
    }
}
