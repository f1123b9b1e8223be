//! Arguments of `serve`. Each value is checked by itself here; `plan` checks them together.
//!
//! Each service is a subcommand of `serve`. Both levels accept the same flags, in one definition,
//! so that a flag may stand before or after the service's name. Each level's help shows the flags
//! that apply to it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use switchboard::{Framing, escape};

use super::limits::LimitArgs;
use super::services::{self, BuiltinService, ServiceArgs};
use crate::cli::engine::EngineName;
use crate::cli::logging::LogFormat;
use crate::cli::units::HumanDuration;

/// The help heading of a service's own flags.
pub(super) const OWN: &str = "Service options";

/// Sections of the help of `serve` and of each service.
const HELP: &str = include_str!("help.txt");

/// Arguments of `serve`, as typed.
#[derive(Debug)]
pub(in crate::cli) struct ServeArgs {
    /// The service; if it is `None`, every service that needs no option runs.
    pub(super) service: Option<&'static BuiltinService>,
    pub(super) flags: ServeFlags,
    /// The names of the flags that were typed, as opposed to defaults.
    pub(super) given: Vec<String>,
}

/// The flags of `serve` and of its services.
#[derive(Debug, Args)]
pub(super) struct ServeFlags {
    /// Read services, listeners and limits from this file
    ///
    /// A TOML file in which each key is the option of the same name. 'switchboard config example'
    /// prints a file, 'switchboard config check FILE' lists the errors in one.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Listen on this address instead of the service's default addresses; may be repeated
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. A prefix sets the framing of one listener,
    /// as in lines@127.0.0.1:8001. See Addresses below.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<ListenArg>,
    /// Listen on consecutive ports from this one instead of the default ports; 0: free ports
    ///
    /// The first default address gets this port, each further one the next number, in the order of
    /// the table. TCP and UDP listeners with the same default port share a number.
    #[arg(long, value_name = "PORT")]
    pub(super) port_base: Option<u16>,
    /// Framing of byte streams on listeners without a FRAMING@ prefix [default: the service's
    /// framing]
    ///
    /// See Framings below.
    #[arg(long, value_name = "NAME")]
    pub(super) framing: Option<Framing>,
    /// Engine that runs the services
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub(super) engine: EngineName,
    /// Exit when the parent process PID ends; for bench and duel, Linux only
    #[arg(long, value_name = "PID", hide = true)]
    pub(super) die_with_parent: Option<u32>,
    #[command(flatten)]
    pub(super) service_args: ServiceArgs,
    #[command(flatten)]
    pub(super) reports: ReportArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

/// The help heading of the log and the statistics.
pub(super) const REPORTS: &str = "Log and statistics";

/// The flags of the log and the statistics.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = REPORTS)]
pub(super) struct ReportArgs {
    /// Format of the log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) log_format: LogFormat,
    /// Log the statistics at this interval: current values, and rates since the last time
    ///
    /// SIGUSR1 logs all of them at once. --quiet silences neither.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub(super) stats_every: Option<HumanDuration>,
    /// Write the statistics as JSON to this file, every 10 s or at the interval of --stats-every
    ///
    /// Also on SIGUSR1 and at the end. The file is replaced whole, so that no reader sees half of
    /// it.
    #[arg(long, value_name = "FILE")]
    pub(super) stats_file: Option<PathBuf>,
}

/// The shortest interval of the statistics: a shorter one fills the log.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<HumanDuration, &'static str> {
    match text.parse()? {
        HumanDuration(every) if every < MIN_INTERVAL => Err("too short: write at least 100ms, such as 10s"),
        interval => Ok(interval),
    }
}

impl ServeArgs {
    /// Parses the flags of a service, or of `serve` itself.
    pub(super) fn parse(
        service: Option<&'static BuiltinService>,
        flags: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let mut definition = definition(service);
        let words = [OsString::from(definition.get_name())].into_iter().chain(flags);
        let matches = definition.try_get_matches_from_mut(words)?;
        let given = typed(&definition, &matches).map(|arg| name(arg).to_owned()).collect();
        let flags = ServeFlags::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
        Ok(Self { service, flags, given })
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        define(command, None)
            .subcommands(services::ALL.iter().map(|builtin| definition(Some(builtin))))
            .subcommand_help_heading("Services")
            .subcommand_value_name("SERVICE")
            .disable_help_subcommand(true)
            // The error for an unknown name then lists the services.
            .allow_external_subcommands(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    /// Parses the flags before and after the service's name together, as if all stood after it.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = words(&definition(None), matches);
        let Some((name, matches)) = matches.subcommand() else { return Self::parse(None, flags) };
        let Some(builtin) = services::find(name) else {
            return Err(unknown_service(name));
        };
        flags.extend(words(&definition(Some(builtin)), matches));
        Self::parse(Some(builtin), flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the error for an unknown service: the services, and a tip if a name is similar.
fn unknown_service(name: &str) -> clap::Error {
    let text = format!("unknown service '{}': use one of {}", escape::line(name), services::names(", "));
    // clap finds the similar names.
    let known = PossibleValuesParser::new(services::ALL.each_ref().map(|builtin| builtin.name));
    let error = known.parse_ref(&Command::new("serve"), None, OsStr::new(name)).err();
    let tip = match error.as_ref().and_then(|error| error.get(ContextKind::SuggestedValue)) {
        Some(ContextValue::String(similar)) => format!("\n\n  tip: a similar service exists: '{similar}'"),
        _ => String::new(),
    };
    clap::Error::raw(ErrorKind::InvalidSubcommand, text + &tip)
}

/// Returns clap's definition of a service, or of `serve` without its subcommands.
pub(super) fn definition(service: Option<&'static BuiltinService>) -> Command {
    define(Command::new(service.map_or("serve", |builtin| builtin.name)), service)
}

/// Adds the flags and the help of a service, or of `serve` itself. The flags that do not apply are
/// hidden.
fn define(command: Command, service: Option<&'static BuiltinService>) -> Command {
    let command = ServeFlags::augment_args(command).allow_negative_numbers(true);
    let Some(builtin) = service else {
        return command
            .mut_args(|arg| if services::is_owned(name(&arg)) { arg.hide(true) } else { arg })
            .after_long_help(format!("{HELP}\n{}", include_str!("examples.txt")));
    };
    let shown = |arg: Arg| match name(&arg) {
        own if builtin.options.contains(&own) => (builtin.refine)(arg).help_heading(OWN),
        other if other == "config" || services::is_owned(other) => arg.hide(true),
        _ => arg,
    };
    command
        .about(builtin.about)
        .long_about(format!("{}\n\n{}", builtin.about, builtin.defaults()))
        .mut_args(shown)
        .after_long_help(format!("{HELP}\n{}", builtin.help))
}

/// Returns the name of a flag without its dashes.
fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

/// Returns the flags of `definition` that were typed.
fn typed<'a>(definition: &'a Command, matches: &'a ArgMatches) -> impl Iterator<Item = &'a Arg> {
    let is_typed = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    definition.get_arguments().filter(is_typed)
}

/// Returns the typed flags as words of a command line.
fn words(definition: &Command, matches: &ArgMatches) -> Vec<OsString> {
    let mut words = Vec::new();
    for arg in typed(definition, matches) {
        let flag = format!("--{}", name(arg));
        if !arg.get_action().takes_values() {
            words.push(flag.into());
            continue;
        }
        for value in matches.get_raw(arg.get_id().as_str()).unwrap_or_default() {
            let mut word = OsString::from(format!("{flag}="));
            word.push(value);
            words.push(word);
        }
    }
    words
}

/// A value of `--listen`, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenArg {
    /// The prefix of `FRAMING@ADDR`.
    pub(super) framing: Option<Framing>,
    pub(super) address: String,
}

impl fmt::Display for ListenArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.framing {
            Some(framing) => write!(f, "{framing}@{}", self.address),
            None => f.write_str(&self.address),
        }
    }
}

impl FromStr for ListenArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (framing, address) = match text.split_once('@') {
            // A framing's name has no colon. A `@` behind a colon is part of a path, as in
            // `unix:/tmp/a@b`.
            Some((framing, address)) if !framing.contains(':') => {
                (Some(framing.parse::<Framing>().map_err(|error| error.to_string())?), address)
            }
            _ => (None, text),
        };
        if framing.is_some() && address.starts_with("udp:") {
            return Err("a udp: address takes no framing, because each datagram is one message".to_owned());
        }
        Ok(Self { framing, address: address.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_arg_splits_framing_and_address() {
        let plain = |address: &str| ListenArg { framing: None, address: address.to_owned() };
        let framed = |framing, address: &str| ListenArg { framing: Some(framing), address: address.to_owned() };
        let skewed = "u16be,offset=2".parse().unwrap();
        for (text, listen) in [
            ("127.0.0.1:1", plain("127.0.0.1:1")),
            ("udp:localhost:1", plain("udp:localhost:1")),
            ("unix:/tmp/a@b", plain("unix:/tmp/a@b")),
            ("lines@[::1]:1", framed(Framing::Lines, "[::1]:1")),
            ("raw@unix:/tmp/a@b", framed(Framing::Raw, "unix:/tmp/a@b")),
            ("u16be,offset=2@127.0.0.1:1", framed(skewed, "127.0.0.1:1")),
        ] {
            assert_eq!(listen.to_string(), text);
            assert_eq!(text.parse(), Ok(listen), "{text}");
        }
        assert!("u7@127.0.0.1:1".parse::<ListenArg>().unwrap_err().starts_with("unknown framing 'u7'"));
        assert!("lines@udp:127.0.0.1:1".parse::<ListenArg>().unwrap_err().contains("takes no framing"));
    }

    #[test]
    fn help_explains_each_framing() {
        for (name, _) in Framing::NAMES {
            assert!(HELP.split_whitespace().any(|word| word == name), "{name}");
        }
    }

    #[test]
    fn each_service_option_belongs_to_a_service() {
        let definition = ServiceArgs::augment_args(Command::new("all"));
        for arg in definition.get_arguments() {
            assert!(services::is_owned(name(arg)), "{arg}");
        }
        for builtin in &services::ALL {
            let is_defined = |option: &&str| definition.get_arguments().any(|arg| name(arg) == *option);
            assert!(builtin.options.iter().all(is_defined), "{builtin:?}");
        }
    }
}
