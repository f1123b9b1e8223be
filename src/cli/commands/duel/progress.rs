//! The progress of a duel on a terminal. Without a terminal it draws nothing.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchboard::load::{LoadPhase, LoadProgress};

use super::plan::DuelPlan;
use super::record::DuelEngine;
use crate::cli::report::figure;
use crate::cli::report::text::connections_text;

/// Positions of the bar for each run.
const STEPS_PER_RUN: u64 = 100;

/// One bar for all runs.
#[derive(Debug)]
pub(super) struct DuelProgress {
    bar: ProgressBar,
    rounds: usize,
    finished_runs: Cell<u64>,
    /// Fraction of a run that the warm-up takes.
    warm_up: f64,
}

impl DuelProgress {
    pub(super) fn new(plan: &DuelPlan, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let runs = (plan.connections.len() * plan.runs_per_point()) as u64;
        let bar = ProgressBar::with_draw_target(Some(runs * STEPS_PER_RUN), target);
        // The template is a constant; if it were invalid, the bar would keep its default style.
        if let Ok(style) =
            ProgressStyle::with_template("{bar:16.cyan/dim} {percent:>3} %, {eta} left · {prefix} {wide_msg}")
        {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let warm_up = plan.warm_up.as_secs_f64() / plan.run_length().as_secs_f64();
        Self { bar, rounds: plan.rounds, finished_runs: Cell::new(0), warm_up }
    }

    pub(super) fn begin_run(&self, connections: usize, round: usize, engine: DuelEngine) {
        let point = connections_text(connections);
        self.bar.set_prefix(format!("{point}, round {round} of {}, {}", self.rounds, engine.name()));
    }

    /// Shows the progress of the current run. The load generator calls it about ten times a second.
    /// The figures of the previous run stay until there are new ones.
    pub(super) fn update(&self, progress: &LoadProgress) {
        if self.bar.is_hidden() {
            return;
        }
        let done = match progress.phase {
            LoadPhase::Connecting => 0.0,
            LoadPhase::WarmingUp => progress.done * self.warm_up,
            LoadPhase::Measuring => self.warm_up + progress.done * (1.0 - self.warm_up),
            LoadPhase::Finishing => 1.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let position = (done.clamp(0.0, 1.0) * figure::float(STEPS_PER_RUN)) as u64;
        self.bar.set_position(self.finished_runs.get() * STEPS_PER_RUN + position);
        if let Some(last) = progress.last_sample.filter(|last| !last.length.is_zero()) {
            let rate = figure::float(last.messages) / last.length.as_secs_f64();
            self.bar.set_message(format!("· {}, p99 {}", figure::rate(rate), figure::time(last.p99)));
        }
    }

    pub(super) fn end_run(&self) {
        self.set_finished_runs(self.finished_runs.get() + 1);
    }

    /// Counts all runs of the points so far as finished, including those that were skipped.
    pub(super) fn end_point(&self, finished_points: usize) {
        self.set_finished_runs((finished_points * 2 * self.rounds) as u64);
    }

    fn set_finished_runs(&self, runs: u64) {
        self.finished_runs.set(runs);
        self.bar.set_position(runs * STEPS_PER_RUN);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
