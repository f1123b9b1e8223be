//! The flags `--verbose` and `--quiet`, which every command has.

use clap::ArgAction;
use log::LevelFilter;

/// The amount of logging.
#[derive(Clone, Copy, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the help would show the backticks")]
pub(in crate::cli) struct Verbosity {
    /// Log more: once for debug, twice for trace
    ///
    /// The log goes to standard error. RUST_LOG overrides -v and -q.
    #[arg(short, long, global = true, display_order = 100, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, display_order = 101, conflicts_with = "verbose")]
    quiet: bool,
}

impl Verbosity {
    /// Returns true if only errors and the requested result are to be shown.
    pub(in crate::cli) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Returns the level from which messages are logged.
    pub(in crate::cli) fn level(self) -> LevelFilter {
        match self {
            Self { quiet: true, .. } => LevelFilter::Error,
            Self { verbose: 0, .. } => LevelFilter::Info,
            Self { verbose: 1, .. } => LevelFilter::Debug,
            Self { .. } => LevelFilter::Trace,
        }
    }
}
