//! How far a transfer has come, on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar where the end is known, and a spinner where it is not. It is on standard error, and gone when it is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Progress {
    drawn: ProgressBar,
}

impl Progress {
    /// Of `total` bytes, where that is known, `already` are there. Where somebody wants quiet, or where standard error is no
    /// terminal, nothing is shown.
    pub(in crate::cli) fn new(total: Option<u64>, already: u64, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let template = match total {
            Some(_) => {
                "{bar:24.cyan/dim} {percent:>3} % · {binary_bytes} of {binary_total_bytes} · {binary_bytes_per_sec} · {eta} left"
            }
            None => "{spinner} {binary_bytes} · {binary_bytes_per_sec}",
        };
        let drawn = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_position(already);
        // The template is a constant, and a bar that cannot be styled is a bar all the same.
        if let Ok(style) = ProgressStyle::with_template(template) {
            drawn.set_style(style.progress_chars("━╸─"));
        }
        // What was there before says nothing about how fast the rest comes. A reset forgets the time and not the position (0 until
        // now), so the bar has to take note of it first, unseen.
        drawn.tick();
        drawn.reset_eta();
        drawn.set_draw_target(target);
        Self { drawn }
    }

    /// So many bytes more are there.
    pub(in crate::cli) fn advance(&self, bytes: u64) {
        self.drawn.inc(bytes);
    }

    /// Clears it away, before something else is said.
    pub(in crate::cli) fn finish(&self) {
        self.drawn.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_come_in_this_run_counts_for_the_rate() {
        let progress = Progress::new(Some(5 << 30), 5_000_000_000, true);
        progress.advance(1);
        // A byte in a nanosecond is faster than any clock here.
        let rate = progress.drawn.per_sec();
        assert!(rate < 1e9, "{rate} bytes a second");
        assert_eq!(progress.drawn.position(), 5_000_000_001);
    }
}
