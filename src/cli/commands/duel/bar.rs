//! How far a duel has come, on a terminal; nothing elsewhere.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchboard::load::{LoadPhase, LoadProgress};

use super::plan::Plan;
use super::record::Engine;
use crate::cli::report::figure;
use crate::cli::report::words::connections as at;

/// Parts of a run.
const STEPS: u64 = 100;

/// One bar for all runs.
#[derive(Debug)]
pub(super) struct Bar {
    drawn: ProgressBar,
    rounds: usize,
    /// Runs that are over.
    over: Cell<u64>,
    warm_up: f64,
}

impl Bar {
    pub(super) fn new(plan: &Plan, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let runs = (plan.connections.len() * plan.runs_per_point()) as u64;
        let bar = ProgressBar::with_draw_target(Some(runs * STEPS), target);
        // The template is a constant, and a bar that cannot be styled is a bar all the same.
        if let Ok(style) =
            ProgressStyle::with_template("{bar:16.cyan/dim} {percent:>3} %, {eta} left · {prefix} {wide_msg}")
        {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let warm_up = plan.warm_up.as_secs_f64() / plan.run_length().as_secs_f64();
        Self { drawn: bar, rounds: plan.rounds, over: Cell::new(0), warm_up }
    }

    pub(super) fn begin(&self, connections: usize, round: usize, engine: Engine) {
        self.drawn.set_prefix(format!("{}, round {round} of {}, {}", at(connections), self.rounds, engine.name()));
    }

    /// Told about ten times a second. The last figures of the run before stay until there are new ones.
    pub(super) fn progress(&self, progress: &LoadProgress) {
        if self.drawn.is_hidden() {
            return;
        }
        let done = match progress.phase {
            LoadPhase::Connecting => 0.0,
            LoadPhase::WarmingUp => progress.done * self.warm_up,
            LoadPhase::Measuring => self.warm_up + progress.done * (1.0 - self.warm_up),
            LoadPhase::Finishing => 1.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let step = (done.clamp(0.0, 1.0) * figure::float(STEPS)) as u64;
        self.drawn.set_position(self.over.get() * STEPS + step);
        if let Some(last) = progress.last_sample.filter(|last| !last.length.is_zero()) {
            let rate = figure::float(last.messages) / last.length.as_secs_f64();
            self.drawn.set_message(format!("· {}, p99 {}", figure::rate(rate), figure::time(last.p99)));
        }
    }

    pub(super) fn end(&self) {
        self.over.set(self.over.get() + 1);
        self.drawn.set_position(self.over.get() * STEPS);
    }

    /// The runs of a point that will not take place are over as well.
    pub(super) fn end_point(&self, points_over: usize) {
        self.over.set((points_over * 2 * self.rounds) as u64);
        self.drawn.set_position(self.over.get() * STEPS);
    }

    pub(super) fn clear(&self) {
        self.drawn.finish_and_clear();
    }
}
