//! What was typed. Each value is checked by itself here; what they mean together is the plan's business.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use log::LevelFilter;
use switchboard::Framing;

use super::bench::BenchCommand;
use super::commands::call::CallCommand;
use super::commands::get::GetArgs;
use super::config::ConfigCommand;
use super::duel::DuelArgs;
use super::engine::EngineName;
use super::limits::LimitArgs;
use super::services::{self, Builtin, Wishes};

/// Socket services on one event loop: one thread, one poll, many connections
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_help = "Try 'switchboard help serve'.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) verbosity: Verbosity,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the help would show the backticks")]
pub(super) struct Verbosity {
    /// Log more: once for debug, twice for trace
    ///
    /// The log goes to standard error. RUST_LOG wins over -v and -q when it is set.
    #[arg(short, long, global = true, display_order = 100, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, display_order = 101, conflicts_with = "verbose")]
    quiet: bool,
}

impl Verbosity {
    /// Whether nothing is to be shown that was not asked for.
    pub(super) fn is_quiet(self) -> bool {
        self.quiet
    }

    pub(super) fn level(self) -> LevelFilter {
        match self {
            Self { quiet: true, .. } => LevelFilter::Error,
            Self { verbose: 0, .. } => LevelFilter::Info,
            Self { verbose: 1, .. } => LevelFilter::Debug,
            Self { .. } => LevelFilter::Trace,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve connections and datagrams until told to stop
    ///
    /// Each bound address is printed on standard output, one a line, as 'listening SERVICE TRANSPORT ADDR', before anything is
    /// served. The log goes to standard error.
    #[command(after_long_help = include_str!("serve.txt"), allow_negative_numbers = true)]
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
    #[command(after_long_help = include_str!("duel.txt"), allow_negative_numbers = true)]
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

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The service; without one, all of them on one loop
    #[arg(value_parser = builtin_parser())]
    pub(super) service: Option<&'static Builtin>,
    /// Serve what this file says: any number of services, listeners and limits
    ///
    /// A TOML file in which each key is the flag of the same name. 'switchboard config example' prints one, 'switchboard config
    /// check FILE' says what is wrong with one.
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    pub(super) config: Option<PathBuf>,
    /// Listen here instead of at the service's own addresses; may be repeated
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. A prefix gives one listener a framing of its own, as in
    /// lines@127.0.0.1:8001. See Addresses below.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<Listen>,
    /// How byte streams are cut into frames, for the listeners without a framing of their own
    ///
    /// The service's own if not given. See Framings below.
    #[arg(long, value_name = "NAME")]
    pub(super) framing: Option<Framing>,
    /// What runs the services
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub(super) engine: EngineName,
    #[command(flatten)]
    pub(super) wishes: Wishes,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// End at once when the process PID, which started this one, ends; for the commands that measure. Linux only
    #[arg(long, value_name = "PID", hide = true)]
    pub(super) die_with_parent: Option<u32>,
    /// Which flags were given, and under which headings of the help they stand.
    #[arg(skip)]
    pub(super) given: Vec<Given>,
}

/// A flag that was given.
#[derive(Debug)]
pub(super) struct Given {
    /// As it is typed: `--seed`.
    pub(super) flag: String,
    pub(super) heading: Option<String>,
}

impl Args {
    /// Reads words, the program's name first.
    ///
    /// # Errors
    /// What the parser has to say: what was wrong with them, or the help that they asked for.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut definition = Self::command();
        let matches = definition.try_get_matches_from_mut(words)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
        if let Command::Serve(typed) = &mut args.command
            && let Some((definition, matches)) =
                definition.find_subcommand("serve").zip(matches.subcommand_matches("serve"))
        {
            typed.given = given(definition, matches);
        }
        Ok(args)
    }
}

fn given(definition: &clap::Command, matches: &ArgMatches) -> Vec<Given> {
    let typed = |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let flags = definition.get_arguments().filter(typed).filter_map(|arg| {
        let heading = arg.get_help_heading().map(str::to_owned);
        Some(Given { flag: format!("--{}", arg.get_long()?), heading })
    });
    flags.collect()
}

fn builtin_parser() -> impl TypedValueParser<Value = &'static Builtin> {
    let values = services::ALL.iter().map(|Builtin { name, about, listens, framing, .. }| {
        PossibleValue::new(*name).help(format!("{about} [{}; {}]", listens.join(" "), framing(&Wishes::default())))
    });
    PossibleValuesParser::new(values).try_map(|name| services::find(&name).ok_or("no such service"))
}

/// An address to listen on, not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// The prefix of `FRAMING@ADDR`.
    pub(super) framing: Option<Framing>,
    pub(super) address: String,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (framing, address) = match text.split_once('@') {
            // No framing has a colon in its name, and a path may well hold an '@'.
            Some((framing, address)) if !framing.contains(':') => {
                (Some(framing.parse::<Framing>().map_err(|error| error.to_string())?), address)
            }
            _ => (None, text),
        };
        if framing.is_some() && address.starts_with("udp:") {
            return Err("a udp: address takes no framing, because each datagram is a message of its own".to_owned());
        }
        Ok(Self { framing, address: address.to_owned() })
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

    #[test]
    fn a_framing_is_told_from_the_address_behind_it() {
        let plain = |address: &str| Listen { framing: None, address: address.to_owned() };
        let framed = |framing, address: &str| Listen { framing: Some(framing), address: address.to_owned() };
        let skewed = "u16be,offset=2".parse().unwrap();
        for (text, listen) in [
            ("127.0.0.1:1", plain("127.0.0.1:1")),
            ("udp:localhost:1", plain("udp:localhost:1")),
            ("unix:/tmp/a@b", plain("unix:/tmp/a@b")),
            ("lines@[::1]:1", framed(Framing::Lines, "[::1]:1")),
            ("raw@unix:/tmp/a@b", framed(Framing::Raw, "unix:/tmp/a@b")),
            ("u16be,offset=2@127.0.0.1:1", framed(skewed, "127.0.0.1:1")),
        ] {
            assert_eq!(text.parse(), Ok(listen), "{text}");
        }
        assert!("u7@127.0.0.1:1".parse::<Listen>().unwrap_err().starts_with("no framing is called 'u7'"));
        assert!("lines@udp:127.0.0.1:1".parse::<Listen>().unwrap_err().contains("takes no framing"));
    }

    #[test]
    fn each_framing_is_explained_in_the_help() {
        let help = include_str!("serve.txt");
        for (name, _) in Framing::NAMES {
            assert!(help.split_whitespace().any(|word| word == name), "{name}");
        }
    }
}
