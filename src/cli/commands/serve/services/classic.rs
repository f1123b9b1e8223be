//! The small services on the command line: upper, greet, robot, parrot and clock.

use std::path::Path;

use jiff::tz::TimeZone;
use serde::Deserialize;
use switchboard::services::{Clock, Greet, Parrot, Robot, RobotLanguage, RobotRule, Upper};
use switchboard::{Endpoint, Framing, ServiceOptions, TextEncoding};

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, Culprit, MakeResult, accept_any};
use crate::cli::commands::serve::toml_file;
use crate::cli::error::CliError;

pub(super) const UPPER: BuiltinService = BuiltinService {
    options: &["answers-per-second"],
    make: upper,
    example: |_, endpoint, framing| Some(hello_command("upper", Framing::Raw, endpoint, framing)),
    help: "\
Examples:
  switchboard serve upper
  switchboard serve upper --listen 127.0.0.1:8080 --listen lines@127.0.0.1:8081
",
    ..small("upper", "Return the bytes with ASCII letters in upper case", &["127.0.0.1:8080"])
};

pub(super) const GREET: BuiltinService = BuiltinService {
    options: &["encoding", "template", "answers-per-second"],
    help: "\
Examples:
  switchboard serve greet
  switchboard serve greet --template '你好 {}' --encoding gbk
",
    make: greet,
    example: |args, endpoint, framing| Some(hello_command_with_encoding("greet", args, endpoint, framing)),
    ..small(
        "greet",
        "Reply to the first message with a greeting, then close",
        &["127.0.0.1:8898", "udp:127.0.0.1:8002"],
    )
};

pub(super) const ROBOT: BuiltinService = BuiltinService {
    options: &["encoding", "name", "lang", "rules", "answers-per-second"],
    help: include_str!("robot_help.txt"),
    make: robot,
    example: |args, endpoint, framing| {
        let hello = hello_command_with_encoding("robot", args, endpoint, framing);
        // The built-in reply to hello is Chinese. Here a question in English gets a reply in
        // English.
        let is_chinese = args.classic.rules.is_some() || args.classic.lang == Some(RobotLanguage::Chinese);
        Some(if is_chinese { hello } else { hello.replacen("hello", "'what is your name?'", 1) })
    },
    ..small("robot", "Reply to keywords: hello, name, time", &["127.0.0.1:10086"])
};

pub(super) const PARROT: BuiltinService = BuiltinService {
    options: &["encoding", "seed"],
    help: "\
Examples:
  switchboard serve parrot
  switchboard serve parrot --seed 1 --encoding gbk
",
    supports_udp: false,
    make: parrot,
    example: |args, endpoint, framing| Some(hello_command_with_encoding("parrot", args, endpoint, framing)),
    ..small("parrot", "Reply with a random earlier message; Bye closes", &["127.0.0.1:10087"])
};

pub(super) const CLOCK: BuiltinService = BuiltinService {
    options: &["answers-per-second"],
    make: clock,
    example: clock_command,
    help: "\
Examples:
  switchboard serve clock
  switchboard serve clock --listen udp:127.0.0.1:9090
",
    ..small("clock", "Reply to a strftime format with the local time", &["127.0.0.1:9090", "udp:127.0.0.1:9090"])
};

/// Returns a description with the defaults that these services share.
const fn small(name: &'static str, about: &'static str, default_listen: &'static [&'static str]) -> BuiltinService {
    BuiltinService {
        name,
        about,
        default_listen,
        framing: |_| Framing::Raw,
        is_default: true,
        supports_udp: true,
        options: &[],
        refine: |arg| arg,
        help: "",
        check: accept_any,
        make: |_| Ok(("small".into(), Box::new(Upper))),
        example: |_, _, _| None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "other services can fail")]
fn upper(args: &ServiceArgs) -> MakeResult {
    Ok((limited(Upper.options("upper"), args), Box::new(Upper)))
}

/// Returns `options` with the limit on datagrams that the user gave.
fn limited(options: ServiceOptions, args: &ServiceArgs) -> ServiceOptions {
    match args.classic.answers_per_second {
        Some(limit) => options.answers_per_second(limit),
        None => options,
    }
}

fn greet(args: &ServiceArgs) -> MakeResult {
    let template = args.classic.template.as_deref().unwrap_or(Greet::TEMPLATE);
    let greet = Greet::new(template, args.encoding.unwrap_or_default()).map_err(|error| {
        let option = args.spelled("template");
        Culprit::Option("template").usage(format!("{option} '{template}' cannot be encoded: {error}"))
    })?;
    Ok((limited(greet.options("greet"), args), Box::new(greet)))
}

fn robot(args: &ServiceArgs) -> MakeResult {
    let name = args.classic.name.as_deref().unwrap_or(Robot::NAME);
    let (encoding, language) = (args.encoding.unwrap_or_default(), args.classic.lang.unwrap_or_default());
    let robot = match &args.classic.rules {
        Some(path) => {
            let rules = read_rules(path).map_err(|error| Culprit::Option("rules").error(error))?;
            Robot::new(name, rules, encoding, TimeZone::system()).language(language)
        }
        None => Robot::with_built_in_rules(name, language, encoding, TimeZone::system()),
    };
    Ok((limited(robot.options("robot"), args), Box::new(robot)))
}

#[expect(clippy::unnecessary_wraps, reason = "other services can fail")]
fn parrot(args: &ServiceArgs) -> MakeResult {
    let seed = args.classic.seed.unwrap_or_else(|| fastrand::u64(..));
    Ok(("parrot".into(), Box::new(Parrot::new(args.encoding.unwrap_or_default(), seed))))
}

#[expect(clippy::unnecessary_wraps, reason = "other services can fail")]
fn clock(args: &ServiceArgs) -> MakeResult {
    let clock = Clock::default();
    Ok((limited(clock.options("clock"), args), Box::new(clock)))
}

/// The file format of the robot's rules.
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
            "{} contains no rule: write [[rule]], and below it keywords and a reply",
            path.display()
        )));
    }
    Ok(rule)
}

/// Returns a command that sends `hello` with the service's client. `client_default` is the framing
/// that the client uses by itself.
pub(super) fn hello_command(name: &str, client_default: Framing, endpoint: &Endpoint, framing: Framing) -> String {
    let is_default = framing == client_default || matches!(endpoint, Endpoint::Udp(_));
    let framing = if is_default { String::new() } else { format!(" --framing {framing}") };
    format!("echo hello | PROGRAM call {name} ADDR{framing}")
}

/// Returns the same command with the encoding of the service's text.
fn hello_command_with_encoding(name: &str, args: &ServiceArgs, endpoint: &Endpoint, framing: Framing) -> String {
    let hello = hello_command(name, Framing::Raw, endpoint, framing);
    match args.encoding {
        Some(encoding) if encoding != TextEncoding::UTF_8 => {
            format!("{hello} --encoding {}", encoding.name().to_lowercase())
        }
        _ => hello,
    }
}

fn clock_command(_: &ServiceArgs, _: &Endpoint, framing: Framing) -> Option<String> {
    (framing == Framing::Raw).then(|| "PROGRAM call clock ADDR '%A %H:%M:%S'".to_owned())
}
