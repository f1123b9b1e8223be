//! Compares the runs of a point: each engine's median and range, and the ratio between the engines.

use super::metric::{Direction, METRICS, Metric};
use super::record::{Comparison, DuelRun, DuelVerdict};
use super::statistics::{MedianRange, Ratio};
use crate::cli::engine::EngineName;

/// Returns one comparison for each metric, in the order of [`METRICS`].
pub(super) fn compare(runs: &[DuelRun]) -> Vec<Comparison> {
    METRICS.iter().map(|metric| compare_metric(metric, runs)).collect()
}

fn compare_metric(metric: &Metric, runs: &[DuelRun]) -> Comparison {
    let values =
        |engine| runs.iter().filter(move |run| run.engine == engine).filter_map(move |run| (metric.value)(&run.result));
    let range = |engine| MedianRange::of(&values(engine).collect::<Vec<_>>());
    let advantage = reactor_advantage(metric, runs);
    Comparison {
        metric: metric.key,
        reactor: range(EngineName::Reactor),
        threads: range(EngineName::Threads),
        reactor_advantage: advantage,
        verdict: advantage.map(DuelVerdict::of),
    }
}

/// Returns the ratio of the engines over all rounds. `None` if a round lacks the value of an
/// engine.
fn reactor_advantage(metric: &Metric, runs: &[DuelRun]) -> Option<Ratio> {
    let run = |engine, round| runs.iter().find(|run| run.engine == engine && run.round == round);
    let rounds = runs.iter().filter(|run| run.engine == EngineName::Reactor).map(|run| run.round);
    let pair = |round| {
        let reactor = (metric.value)(&run(EngineName::Reactor, round)?.result)?;
        Some((reactor, (metric.value)(&run(EngineName::Threads, round)?.result)?))
    };
    let ratio = Ratio::of(&rounds.map(pair).collect::<Option<Vec<_>>>()?)?;
    match metric.direction {
        Direction::HigherIsBetter => Some(ratio),
        Direction::LowerIsBetter => Some(ratio.inverse()),
        Direction::Neutral => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::{CPU, P50, THREADS, THROUGHPUT};
    use super::super::tests::run;
    use super::*;

    fn runs() -> Vec<DuelRun> {
        let rounds = [(1, 200.0, 100.0), (2, 300.0, 100.0), (3, 240.0, 100.0)];
        let both = |(round, reactor, threads)| {
            [
                run(EngineName::Reactor, round, reactor, 1e9 / reactor),
                run(EngineName::Threads, round, threads, 1e9 / threads),
            ]
        };
        rounds.into_iter().flat_map(both).collect()
    }

    fn comparison(metric: &Metric, runs: &[DuelRun]) -> Comparison {
        compare(runs).into_iter().find(|comparison| comparison.metric == metric.key).unwrap()
    }

    #[test]
    fn above_one_the_reactor_is_better_for_every_metric() {
        for metric in [&THROUGHPUT, &CPU] {
            let comparison = comparison(metric, &runs());
            let Ratio { median, low, high } = comparison.reactor_advantage.unwrap();
            let shown = [median, low, high].map(|value| (value * 100.0).round() / 100.0);
            assert_eq!((shown, comparison.verdict), ([2.4, 2.0, 3.0], Some(DuelVerdict::Reactor)), "{metric:?}");
        }
        assert_eq!(
            comparison(&THROUGHPUT, &runs()).reactor,
            Some(MedianRange { median: 240.0, min: 200.0, max: 300.0 })
        );
        assert_eq!(comparison(&P50, &runs()).verdict, Some(DuelVerdict::Draw));
    }

    #[test]
    fn a_neutral_metric_has_no_ratio() {
        let threads = comparison(&THREADS, &runs());
        assert!(threads.reactor.is_some() && threads.reactor_advantage.is_none() && threads.verdict.is_none());
    }

    #[test]
    fn an_incomplete_round_leaves_no_ratio() {
        let mut runs = runs();
        runs.pop();
        assert_eq!(comparison(&CPU, &runs).reactor_advantage, None);
    }

    #[test]
    fn without_server_figures_the_rest_is_compared() {
        let mut runs = runs();
        for run in &mut runs {
            run.result.server = None;
        }
        assert!(comparison(&THROUGHPUT, &runs).reactor_advantage.is_some());
        let cpu = comparison(&CPU, &runs);
        assert!(cpu.reactor.is_none() && cpu.reactor_advantage.is_none());
    }
}
