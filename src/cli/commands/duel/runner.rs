//! Runs a point: for each round and engine one run of `bench` on a fresh server.

use super::compare::compare;
use super::plan::DuelPlan;
use super::record::{DuelPoint, DuelRun};
use crate::cli::commands::bench::result::RunResult;
use crate::cli::commands::bench::run;
use crate::cli::commands::bench::run_error::RunError;
use crate::cli::commands::bench::watcher::RunSetup;
use crate::cli::engine::EngineName;
use crate::cli::report::text::connections_text;

/// The reason why a point is not complete.
#[derive(Debug)]
pub(super) enum PointError {
    /// A signal stopped the process.
    Interrupted,
    /// This machine cannot provide the connections of the point.
    Unavailable(String),
    /// The measurement itself failed, so further points would fail too.
    Failed(String),
}

impl From<RunError> for PointError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Unavailable(reason) => Self::Unavailable(reason),
            RunError::Config(reason) | RunError::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// Runs all rounds of a point. Returns the point and the error that stops the duel.
pub(super) fn measure_point(
    plan: &DuelPlan,
    setup: &RunSetup<'_>,
    connections: usize,
) -> (DuelPoint, Option<PointError>) {
    let mut point =
        DuelPoint { connections, skipped: None, complete: false, runs: Vec::new(), comparisons: Vec::new() };
    if let Some(reason) = DuelPlan::descriptor_error(connections, switchboard::descriptor_limit()) {
        point.skipped = Some(reason);
        return (point, None);
    }
    for round in 1..=plan.rounds {
        for (index, engine) in DuelPlan::order(round).into_iter().enumerate() {
            let (at, name) = (connections_text(connections), engine.name());
            setup.progress.set_label(format!("{at}, round {round} of {}, {name}, ", plan.rounds));
            match measure_run(plan, setup, connections, engine) {
                Ok(result) => point.runs.push(DuelRun { engine, round, first: index == 0, result }),
                Err(PointError::Interrupted) => return (point, Some(PointError::Interrupted)),
                Err(PointError::Unavailable(reason)) => {
                    point.skipped = Some(format!("{name}: {reason}"));
                    return (point, None);
                }
                Err(PointError::Failed(reason)) => {
                    point.skipped = Some(format!("{name}: {reason}"));
                    return (point, Some(PointError::Failed(format!("{at}, {name}: {reason}"))));
                }
            }
            setup.progress.end_run();
        }
    }
    log::debug!("point complete: {}", connections_text(connections));
    point.complete = true;
    point.comparisons = compare(&point.runs);
    (point, None)
}

fn measure_run(
    plan: &DuelPlan,
    setup: &RunSetup<'_>,
    connections: usize,
    engine: EngineName,
) -> Result<RunResult, PointError> {
    let run = run::measure(&plan.run(engine, connections), setup);
    if setup.interrupt.is_raised() {
        return Err(PointError::Interrupted);
    }
    let run = run?.ok_or(PointError::Interrupted)?;
    run.stopped.map_err(PointError::Failed)?;
    Ok(run.result)
}
