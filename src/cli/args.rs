//! The command line's definition. Each command defines its own arguments; this file lists the
//! commands.

use std::ffi::OsString;

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::commands::bench::args::BenchCommand;
use super::commands::call::CallCommand;
use super::commands::config::ConfigCommand;
use super::commands::duel::args::DuelArgs;
use super::commands::get::GetArgs;
use super::commands::serve::ServeArgs;
use super::terminal::capabilities::help_colors;
use super::verbosity::Verbosity;

/// Socket services on one event loop: one thread, one poll, many connections
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_help = "Try 'switchboard help serve'.")]
pub(super) struct Args {
    /// The sum over the program and its subcommands.
    #[arg(skip)]
    pub(super) verbosity: Verbosity,
    #[command(subcommand)]
    pub(super) command: CliCommand,
}

/// A command and its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Run services until a signal stops them
    ///
    /// Each bound address is printed on standard output as a line 'listening SERVICE TRANSPORT
    /// ADDR' before the first connection is accepted. The log goes to standard error.
    ///
    /// Without SERVICE, every service that needs no option runs: all but files and exec.
    /// 'switchboard serve SERVICE --help' lists the options of a service, besides those that are
    /// listed here.
    Serve(Box<ServeArgs>),
    /// Measure a server under load: throughput, latency, faults
    ///
    /// Each service has its own load: see 'switchboard help bench echo' and 'switchboard help bench
    /// chat'.
    #[command(subcommand, disable_help_subcommand = true)]
    Bench(BenchCommand),
    /// Compare the two engines, reactor and threads, under the same load
    ///
    /// Each run starts a new server process, on a different CPU than the load if there are two. The
    /// engines alternate. The result is the ratio of the two engines with its confidence interval.
    #[command(after_long_help = include_str!("commands/duel/help.txt"), allow_negative_numbers = true)]
    Duel(Box<DuelArgs>),
    /// Run a client of a service
    Call {
        /// The service
        #[command(subcommand)]
        command: CallCommand,
    },
    /// Check a configuration file for 'serve --config', or print an example
    #[command(subcommand, disable_help_subcommand = true)]
    Config(ConfigCommand),
    /// Fetch a file over HTTP
    Get(GetArgs),
    /// Print a manual page in roff
    ///
    /// Read it with 'switchboard man serve | man -l -', or write it to a file under share/man/man1.
    Man {
        /// Subcommand to document, as in 'call chat' [default: the whole program]
        subcommand: Vec<String>,
    },
    /// Print a completion script for a shell
    ///
    /// In bash, 'source <(switchboard completions bash)' activates it for the session.
    Completions {
        /// Shell that reads the script
        shell: Shell,
    },
}

impl Args {
    /// Returns clap's definition of the program.
    pub(super) fn definition() -> Command {
        Verbosity::add_to(Self::command().color(help_colors()))
    }

    /// Parses `words`, of which the first is the program's name.
    ///
    /// # Errors
    /// The parser's error, or its answer to `--help` and `--version`.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut definition = Self::definition();
        let matches = definition.try_get_matches_from_mut(words)?;
        let args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
        Ok(Self { verbosity: Verbosity::total(&matches)?, ..args })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_definition_is_consistent() {
        Args::definition().debug_assert();
    }
}
