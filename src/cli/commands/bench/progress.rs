//! The progress of one run or several on a terminal. Without a terminal it draws nothing.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar};
use switchboard::load::{LoadPhase, LoadProgress};

use crate::cli::report::figure;
use crate::cli::report::text::connections_text;
use crate::cli::terminal::progress;

/// Positions of the bar for each run.
const STEPS_PER_RUN: usize = 1000;

/// One bar for all runs.
#[derive(Debug)]
pub(crate) struct RunProgress {
    bar: ProgressBar,
    finished_runs: Cell<usize>,
    /// Seconds of the current run's ramp, warm-up and measured time.
    phases: Cell<[f64; 3]>,
    label: RefCell<String>,
}

impl RunProgress {
    /// Creates the bar of `runs` runs. The runs of a search count as one, because their number is
    /// unknown.
    pub(crate) fn new(runs: usize, quiet: bool) -> Self {
        let bar = progress::message_bar((runs * STEPS_PER_RUN) as u64, quiet);
        Self { bar, finished_runs: Cell::new(0), phases: Cell::default(), label: RefCell::default() }
    }

    /// Sets the words about the next run, which stand before its phase.
    pub(crate) fn set_label(&self, label: String) {
        self.label.replace(label);
    }

    /// Begins a run whose ramp, warm-up and measured time have these lengths.
    pub(super) fn begin_run(&self, phases: [Duration; 3]) {
        self.phases.set(phases.map(|phase| phase.as_secs_f64()));
    }

    /// Shows the progress of the current run. The load generator calls it about ten times a second.
    pub(super) fn update(&self, progress: &LoadProgress) {
        if self.bar.is_hidden() {
            return;
        }
        let phase = match progress.phase {
            LoadPhase::Connecting => "connecting",
            LoadPhase::WarmingUp => "warming up",
            LoadPhase::Measuring => "measuring",
            LoadPhase::Finishing => "finishing",
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction")]
        let position = (run_fraction(self.phases.get(), progress.phase, progress.done)
            * figure::float(STEPS_PER_RUN as u64)) as usize;
        // The message is set first, because a new position draws the bar.
        let eta = self.bar.eta();
        let left = if eta.is_zero() { String::new() } else { format!(", {:#} left", HumanDuration(eta)) };
        self.bar.set_message(format!("{left} · {}{phase} · {}", self.label.borrow(), message(progress)));
        self.bar.set_position((self.finished_runs.get() * STEPS_PER_RUN + position) as u64);
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

/// Returns the elapsed part of a run, from 0 to 1, whose phases take these seconds. `done` is the
/// part of the current phase.
fn run_fraction([ramp, warm_up, measured]: [f64; 3], phase: LoadPhase, done: f64) -> f64 {
    let (before, length) = match phase {
        LoadPhase::Connecting => (0.0, ramp),
        LoadPhase::WarmingUp => (ramp, warm_up),
        LoadPhase::Measuring => (ramp + warm_up, measured),
        LoadPhase::Finishing => return 1.0,
    };
    ((before + done * length) / (ramp + warm_up + measured).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)
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
        faults => figure::counted(faults, "fault", "faults"),
    });
    parts.push(connections_text(progress.connections));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_in_each_phase() {
        let fraction = |phase, done| run_fraction([3.0, 1.0, 4.0], phase, done);
        let fractions = [
            fraction(LoadPhase::Connecting, 0.0),
            fraction(LoadPhase::Connecting, 1.0 / 3.0),
            fraction(LoadPhase::WarmingUp, 0.0),
            fraction(LoadPhase::Measuring, 0.5),
            fraction(LoadPhase::Finishing, 0.0),
        ];
        assert_eq!(format!("{fractions:?}"), "[0.0, 0.125, 0.375, 0.75, 1.0]");
    }
}
