//! The command line's definition. Each command defines its own arguments; this file lists the commands.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::commands::bench::args::BenchCommand;
use super::commands::call::CallCommand;
use super::commands::config::ConfigCommand;
use super::commands::duel::args::DuelArgs;
use super::commands::get::GetArgs;
use super::commands::serve::{ServeArgs, given_flags};
use super::verbosity::Verbosity;

/// Socket services on one event loop: one thread, one poll, many connections
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_help = "Try 'switchboard help serve'.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) verbosity: Verbosity,
    #[command(subcommand)]
    pub(super) command: CliCommand,
}

/// A command and its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Serve connections and datagrams until told to stop
    ///
    /// Each bound address is printed on standard output, one a line, as 'listening SERVICE TRANSPORT ADDR', before anything is
    /// served. The log goes to standard error.
    Serve(Box<ServeArgs>),
    /// Put a load on a server and say what came of it: throughput, latency, faults
    ///
    /// Each service is measured in its own way: see 'switchboard help bench echo' and 'switchboard help bench chat'.
    #[command(subcommand, disable_help_subcommand = true)]
    Bench(BenchCommand),
    /// Measure both engines under the same load and say who is ahead where: reactor or threads
    ///
    /// Each run has a fresh server process and a load on another processor, where there are two. Both engines take turns, and
    /// what is told is the ratio of the two with its interval, not a number by itself.
    #[command(after_long_help = include_str!("commands/duel/help.txt"), allow_negative_numbers = true)]
    Duel(Box<DuelArgs>),
    /// Talk to a service
    Call {
        /// The service
        #[command(subcommand)]
        command: CallCommand,
    },
    /// Check a configuration file for 'serve --config', or print one to begin with
    #[command(subcommand, disable_help_subcommand = true)]
    Config(ConfigCommand),
    /// Fetch a file over HTTP
    Get(GetArgs),
    /// Print a manual page in roff
    ///
    /// Read it with 'switchboard man serve | man -l -', or write it to a file under share/man/man1.
    Man {
        /// The subcommand it is about, as in 'call chat'; without one, the whole program
        subcommand: Vec<String>,
    },
    /// Print a script that completes commands and options in a shell
    ///
    /// For bash, 'source <(switchboard completions bash)' tries it out.
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Args {
    /// Parses `words`, of which the first is the program's name.
    ///
    /// # Errors
    /// The parser's error, or its answer to `--help` and `--version`.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut definition = Self::command();
        let matches = definition.try_get_matches_from_mut(words)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
        if let CliCommand::Serve(serve_args) = &mut args.command
            && let Some((definition, matches)) =
                definition.find_subcommand("serve").zip(matches.subcommand_matches("serve"))
        {
            serve_args.given = given_flags(definition, matches);
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_do_not_contradict_themselves() {
        Args::command().debug_assert();
    }
}
