//! Arguments of `serve`. Each value is checked by itself here; `plan` checks them together.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, FromArgMatches};
use switchboard::Framing;

use super::limits::LimitArgs;
use super::services::{self, BuiltinService, ServiceArgs};
use crate::cli::engine::EngineName;

/// Arguments of `serve`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("help.txt"), allow_negative_numbers = true)]
pub(in crate::cli) struct ServeArgs {
    /// The service [default: every service that needs no option]
    #[arg(value_parser = service_parser())]
    pub(super) service: Option<&'static BuiltinService>,
    /// Read services, listeners and limits from this file
    ///
    /// A TOML file in which each key is the option of the same name. 'switchboard config example'
    /// prints a file, 'switchboard config check FILE' lists the errors in one.
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    pub(super) config: Option<PathBuf>,
    /// Listen on this address instead of the service's default addresses; may be repeated
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. A prefix sets the framing of one listener,
    /// as in lines@127.0.0.1:8001. See Addresses below.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<ListenArg>,
    /// Framing of byte streams on listeners without a FRAMING@ prefix [default: the service's
    /// framing]
    ///
    /// See Framings below.
    #[arg(long, value_name = "NAME")]
    pub(super) framing: Option<Framing>,
    /// Engine that runs the services
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub(super) engine: EngineName,
    #[command(flatten)]
    pub(super) service_args: ServiceArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// Exit when the parent process PID ends; for bench and duel, Linux only
    #[arg(long, value_name = "PID", hide = true)]
    pub(super) die_with_parent: Option<u32>,
    /// The flags typed on the command line.
    #[arg(skip)]
    pub(in crate::cli) given: Vec<GivenFlag>,
}

/// A flag typed on the command line.
#[derive(Debug)]
pub(in crate::cli) struct GivenFlag {
    /// The flag as typed, such as `--seed`.
    pub(super) flag: String,
    /// The heading of the help under which the flag is listed.
    pub(super) heading: Option<String>,
}

impl ServeArgs {
    /// Returns clap's definition of the `serve` command.
    pub(super) fn command() -> clap::Command {
        Self::augment_args(clap::Command::new("serve"))
    }

    /// Parses `words`, of which the first is the command's name.
    pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut definition = Self::command();
        let matches = definition.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))
    }
}

/// Returns the flags in `matches` that were typed, as opposed to defaults.
pub(in crate::cli) fn given_flags(definition: &clap::Command, matches: &ArgMatches) -> Vec<GivenFlag> {
    let is_typed = |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let flags = definition.get_arguments().filter(is_typed).filter_map(|arg| {
        let heading = arg.get_help_heading().map(str::to_owned);
        Some(GivenFlag { flag: format!("--{}", arg.get_long()?), heading })
    });
    flags.collect()
}

/// Returns a parser of service names. The help lists each service with its addresses and framing.
fn service_parser() -> impl TypedValueParser<Value = &'static BuiltinService> {
    let values = services::ALL.iter().map(|BuiltinService { name, about, default_listen, framing, .. }| {
        PossibleValue::new(*name).help(format!(
            "{about} [{}; {}]",
            default_listen.join(" "),
            framing(&ServiceArgs::default())
        ))
    });
    PossibleValuesParser::new(values).try_map(|name| services::find(&name).ok_or("no such service"))
}

/// A value of `--listen`, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenArg {
    /// The prefix of `FRAMING@ADDR`.
    pub(super) framing: Option<Framing>,
    pub(super) address: String,
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
            assert_eq!(text.parse(), Ok(listen), "{text}");
        }
        assert!("u7@127.0.0.1:1".parse::<ListenArg>().unwrap_err().starts_with("unknown framing 'u7'"));
        assert!("lines@udp:127.0.0.1:1".parse::<ListenArg>().unwrap_err().contains("takes no framing"));
    }

    #[test]
    fn help_explains_each_framing() {
        let help = include_str!("help.txt");
        for (name, _) in Framing::NAMES {
            assert!(help.split_whitespace().any(|word| word == name), "{name}");
        }
    }
}
