//! The flags `--verbose` and `--quiet`, which every command has.
//!
//! They may stand at each level of a command line, as in `-v serve -v echo`. They are not global
//! flags of clap, which keeps the count of the innermost level only.

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use log::LevelFilter;

/// The amount of logging.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the help would show the backticks")]
pub(in crate::cli) struct Verbosity {
    /// Log more: once for debug, twice for trace
    ///
    /// The log goes to standard error. RUST_LOG overrides -v and -q.
    #[arg(short, long, help_heading = Resettable::Reset, display_order = 100, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, help_heading = Resettable::Reset, display_order = 101, conflicts_with = "verbose")]
    quiet: bool,
}

impl Verbosity {
    /// Adds the flags to a command and to all its subcommands.
    pub(super) fn add_to(command: Command) -> Command {
        // `augment_args` would also replace the description of the command.
        let flags = Self::augment_args(Command::default());
        command.args(flags.get_arguments()).mut_subcommands(Self::add_to)
    }

    /// Adds up the flags of all levels of a command line.
    ///
    /// # Errors
    /// The error of a command line with both flags.
    pub(super) fn total(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (mut total, mut level) = (Self::default(), Some(matches));
        while let Some(matches) = level {
            let Self { verbose, quiet } = Self::from_arg_matches(matches)?;
            total.verbose = total.verbose.saturating_add(verbose);
            total.quiet |= quiet;
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        // Within one level, clap has checked this.
        if total.quiet && total.verbose > 0 {
            let text = "the argument '--verbose...' cannot be used with '--quiet'";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
        }
        Ok(total)
    }

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

#[cfg(test)]
mod tests {
    use crate::cli::args::Args;

    #[test]
    fn counts_add_over_all_levels() {
        for (words, level) in [
            ("serve echo", "INFO"),
            ("serve echo -v", "DEBUG"),
            ("serve -v echo", "DEBUG"),
            ("serve -v echo -v", "TRACE"),
            ("-v serve echo --verbose", "TRACE"),
            ("-v call -v echo -v", "TRACE"),
            ("serve -q echo -q", "ERROR"),
            ("-q get http://127.0.0.1/", "ERROR"),
        ] {
            let words = ["switchboard"].into_iter().chain(words.split_whitespace());
            let args = Args::read(words.clone().map(Into::into)).unwrap();
            assert_eq!(args.verbosity.level().as_str(), level, "{:?}", words.collect::<Vec<_>>());
        }
    }
}
