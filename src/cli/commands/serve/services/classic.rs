//! The small services on the command line: upper, greet, robot, parrot, clock.

use std::path::Path;

use jiff::tz::TimeZone;
use serde::Deserialize;
use switchboard::services::{Clock, Greet, Parrot, Robot, RobotRule, Upper};
use switchboard::{Endpoint, Framing, Service, TextEncoding};

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, accept_any};
use crate::cli::commands::serve::toml_file;
use crate::cli::error::CliError;

type Made = Result<Box<dyn Service + Send>, CliError>;

pub(super) const UPPER: BuiltinService = BuiltinService {
    make: |_| Ok(Box::new(Upper)),
    example: |_, endpoint, framing| Some(say_hello("upper", Framing::Raw, endpoint, framing)),
    ..small("upper", "returns the bytes with ASCII letters upper-cased", &["127.0.0.1:8080"])
};

pub(super) const GREET: BuiltinService = BuiltinService {
    headings: &["Text", "Greet"],
    make: greet,
    example: |args, endpoint, framing| Some(say_hello_in_text("greet", args, endpoint, framing)),
    ..small(
        "greet",
        "answers the first message with a greeting, then closes",
        &["127.0.0.1:8898", "udp:127.0.0.1:8002"],
    )
};

pub(super) const ROBOT: BuiltinService = BuiltinService {
    headings: &["Text", "Robot"],
    make: robot,
    example: |args, endpoint, framing| Some(say_hello_in_text("robot", args, endpoint, framing)),
    ..small("robot", "answers by keywords: hello, name, time", &["127.0.0.1:10086"])
};

pub(super) const PARROT: BuiltinService = BuiltinService {
    headings: &["Text", "Parrot"],
    datagrams: false,
    make: parrot,
    example: |args, endpoint, framing| Some(say_hello_in_text("parrot", args, endpoint, framing)),
    ..small("parrot", "answers with any message that it was told; Bye closes", &["127.0.0.1:10087"])
};

pub(super) const CLOCK: BuiltinService = BuiltinService {
    make: |_| Ok(Box::new(Clock::default())),
    example: ask_the_time,
    ..small("clock", "answers a strftime format with the local time in it", &["127.0.0.1:9090", "udp:127.0.0.1:9090"])
};

/// What is the same for all of them, unless it is said to be otherwise.
const fn small(name: &'static str, about: &'static str, default_listen: &'static [&'static str]) -> BuiltinService {
    BuiltinService {
        name,
        about,
        default_listen,
        framing: |_| Framing::Raw,
        is_default: true,
        datagrams: true,
        headings: &[],
        check: accept_any,
        make: |_| Ok(Box::new(Upper)),
        example: |_, _, _| None,
    }
}

fn greet(args: &ServiceArgs) -> Made {
    let template = args.classic.template.as_deref().unwrap_or(Greet::TEMPLATE);
    let greet = Greet::new(template, args.encoding.unwrap_or_default());
    let greet = greet.map_err(|error| CliError::Usage(format!("--template '{template}' cannot be said: {error}")))?;
    Ok(Box::new(greet))
}

fn robot(args: &ServiceArgs) -> Made {
    let name = args.classic.name.as_deref().unwrap_or(Robot::NAME);
    let rules = match &args.classic.rules {
        Some(path) => read_rules(path)?,
        None => Robot::rules(),
    };
    Ok(Box::new(Robot::new(name, rules, args.encoding.unwrap_or_default(), TimeZone::system())))
}

#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn parrot(args: &ServiceArgs) -> Made {
    let seed = args.classic.seed.unwrap_or_else(|| fastrand::u64(..));
    Ok(Box::new(Parrot::new(args.encoding.unwrap_or_default(), seed)))
}

/// A robot's rules as a file has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rule: Vec<RobotRule>,
}

fn read_rules(path: &Path) -> Result<Vec<RobotRule>, CliError> {
    let RulesFile { rule } = toml_file::read(path)?;
    if rule.is_empty() {
        return Err(CliError::InvalidFile(format!(
            "{} has no rule: write [[rule]], and below it keywords and a reply",
            path.display()
        )));
    }
    Ok(rule)
}

/// Tells a service hello that answers whatever it is told. `usual` is its client's framing if it is not told another.
pub(super) fn say_hello(name: &str, usual: Framing, endpoint: &Endpoint, framing: Framing) -> String {
    let is_usual = framing == usual || matches!(endpoint, Endpoint::Udp(_));
    let framing = if is_usual { String::new() } else { format!(" --framing {framing}") };
    format!("echo hello | PROGRAM call {name} ADDR{framing}")
}

/// The same, for one that means text.
fn say_hello_in_text(name: &str, args: &ServiceArgs, endpoint: &Endpoint, framing: Framing) -> String {
    let hello = say_hello(name, Framing::Raw, endpoint, framing);
    match args.encoding {
        Some(encoding) if encoding != TextEncoding::UTF_8 => {
            format!("{hello} --encoding {}", encoding.name().to_lowercase())
        }
        _ => hello,
    }
}

fn ask_the_time(_: &ServiceArgs, _: &Endpoint, framing: Framing) -> Option<String> {
    (framing == Framing::Raw).then(|| "PROGRAM call clock ADDR '%A %H:%M:%S'".to_owned())
}
