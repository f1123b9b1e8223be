//! The progress display of a transfer, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::cli::terminal::progress;

/// A bar if the total is known, else a spinner. It is drawn on standard error and cleared on drop.
#[derive(Debug)]
pub(in crate::cli) struct TransferProgress {
    bar: ProgressBar,
}

impl TransferProgress {
    /// Starts a display at `already` of `total` bytes. It stays hidden if `quiet`, or if standard
    /// error is not a terminal.
    pub(in crate::cli) fn new(total: Option<u64>, already: u64, quiet: bool) -> Self {
        let target = progress::draw_target(quiet);
        let template = match total {
            Some(_) => {
                let bar = progress::bar_template(24);
                format!(
                    "{bar} {{percent:>3}} % · {{binary_bytes}} of {{binary_total_bytes}} · {{binary_bytes_per_sec}} · {{eta}} left"
                )
            }
            None => "{spinner} {binary_bytes} · {binary_bytes_per_sec}".to_owned(),
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_position(already);
        progress::set_template(&bar, &template);
        // The bytes of an earlier run must not count for the rate. `reset_eta` keeps only a
        // position that the estimator has seen, so tick once while the bar is hidden.
        bar.tick();
        bar.reset_eta();
        bar.set_draw_target(target);
        Self { bar }
    }

    /// Adds `bytes` to the position.
    pub(in crate::cli) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Clears the display, so that other output can follow.
    pub(in crate::cli) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for TransferProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_counts_only_bytes_of_this_run() {
        let progress = TransferProgress::new(Some(5 << 30), 5_000_000_000, true);
        progress.advance(1);
        // One byte within a nanosecond: the upper limit of any clock.
        let rate = progress.bar.per_sec();
        assert!(rate < 1e9, "{rate} bytes/s");
        assert_eq!(progress.bar.position(), 5_000_000_001);
    }
}
