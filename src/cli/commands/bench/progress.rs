//! The progress of one run or several on a terminal. Without a terminal it draws nothing.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchboard::load::{LoadPhase, LoadProgress};

use crate::cli::report::figure;

/// Positions of the bar for each run.
const STEPS_PER_RUN: usize = 1000;

/// One bar for all runs.
#[derive(Debug)]
pub(crate) struct RunProgress {
    bar: ProgressBar,
    finished_runs: Cell<usize>,
    /// Fraction of a run that the warm-up takes.
    warm_up: Cell<f64>,
    label: RefCell<String>,
}

impl RunProgress {
    /// Creates the bar of `runs` runs. The runs of a search count as one, because their number is
    /// unknown.
    pub(crate) fn new(runs: usize, quiet: bool) -> Self {
        // indicatif does not draw if standard error is not a terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some((runs * STEPS_PER_RUN) as u64), target);
        // The template is a constant; if it were invalid, the bar would keep its default style.
        if let Ok(style) =
            ProgressStyle::with_template("{bar:12.cyan/dim} {percent:>3} %, {eta} left · {prefix} · {wide_msg}")
        {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, finished_runs: Cell::new(0), warm_up: Cell::default(), label: RefCell::default() }
    }

    /// Sets the words about the next run, which stand before its phase.
    pub(crate) fn set_label(&self, label: String) {
        self.label.replace(label);
    }

    /// Begins a run whose warm-up and measured time have these lengths.
    pub(super) fn begin_run(&self, (warm_up, measured): (Duration, Duration)) {
        self.warm_up.set(warm_up.as_secs_f64() / (warm_up + measured).as_secs_f64().max(f64::MIN_POSITIVE));
    }

    /// Shows the progress of the current run. The load generator calls it about ten times a second.
    pub(super) fn update(&self, progress: &LoadProgress) {
        if self.bar.is_hidden() {
            return;
        }
        let (phase, done) = match progress.phase {
            LoadPhase::Connecting => ("connecting", 0.0),
            LoadPhase::WarmingUp => ("warming up", progress.done * self.warm_up.get()),
            LoadPhase::Measuring => ("measuring", self.warm_up.get() + progress.done * (1.0 - self.warm_up.get())),
            LoadPhase::Finishing => ("finishing", 1.0),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let position = (done.clamp(0.0, 1.0) * figure::float(STEPS_PER_RUN as u64)) as usize;
        self.bar.set_position((self.finished_runs.get() * STEPS_PER_RUN + position) as u64);
        self.bar.set_prefix(format!("{}{phase}", self.label.borrow()));
        self.bar.set_message(message(progress));
    }

    /// Prints a line above the bar. Has no effect if the bar is hidden.
    pub(super) fn println(&self, line: &str) {
        self.bar.println(line);
    }

    pub(crate) fn end_run(&self) {
        self.set_finished_runs(self.finished_runs.get() + 1);
    }

    /// Counts this number of runs as finished, including those that were skipped.
    pub(crate) fn set_finished_runs(&self, runs: usize) {
        self.finished_runs.set(runs);
        self.bar.set_position((runs * STEPS_PER_RUN) as u64);
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Returns rate, latency, faults and connections. The most important come first, because a narrow
/// terminal truncates the end.
fn message(progress: &LoadProgress) -> String {
    let mut parts = Vec::new();
    if let Some(last) = progress.last_sample.filter(|last| !last.length.is_zero()) {
        parts.push(figure::rate(figure::float(last.messages) / last.length.as_secs_f64()));
        parts.push(format!("p99 {}", figure::time(last.p99)));
    }
    parts.push(match progress.faults.total() {
        0 => "no faults".to_owned(),
        faults => format!("{} faults", figure::count(faults)),
    });
    parts.push(format!("{} connections", figure::count(progress.connections as u64)));
    parts.join(" · ")
}
