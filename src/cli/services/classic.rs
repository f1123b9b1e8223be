//! The small services on the command line: upper, greet, robot, parrot, clock.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Deserialize;
use switchboard::services::{Clock, Greet, Parrot, Robot, Rule, Upper};
use switchboard::{Endpoint, Framing, Service, TextEncoding};

use super::{Builtin, Wishes};
use crate::cli::failure::Failure;
use crate::cli::toml_file;

type Made = Result<Box<dyn Service + Send>, Failure>;

pub(super) const UPPER: Builtin = Builtin {
    make: |_| Ok(Box::new(Upper)),
    tries: |_, endpoint, framing| Some(say_hello("upper", Framing::Raw, endpoint, framing)),
    ..small("upper", "returns the bytes with ASCII letters upper-cased", &["127.0.0.1:8080"])
};

pub(super) const GREET: Builtin = Builtin {
    headings: &["Text", "Greet"],
    make: greet,
    tries: |wishes, endpoint, framing| Some(say_hello_in_text("greet", wishes, endpoint, framing)),
    ..small(
        "greet",
        "answers the first message with a greeting, then closes",
        &["127.0.0.1:8898", "udp:127.0.0.1:8002"],
    )
};

pub(super) const ROBOT: Builtin = Builtin {
    headings: &["Text", "Robot"],
    make: robot,
    tries: |wishes, endpoint, framing| Some(say_hello_in_text("robot", wishes, endpoint, framing)),
    ..small("robot", "answers by keywords: hello, name, time", &["127.0.0.1:10086"])
};

pub(super) const PARROT: Builtin = Builtin {
    headings: &["Text", "Parrot"],
    datagrams: false,
    make: parrot,
    tries: |wishes, endpoint, framing| Some(say_hello_in_text("parrot", wishes, endpoint, framing)),
    ..small("parrot", "answers with any message that it was told; Bye closes", &["127.0.0.1:10087"])
};

pub(super) const CLOCK: Builtin = Builtin {
    make: |_| Ok(Box::new(Clock::default())),
    tries: ask_the_time,
    ..small("clock", "answers a strftime format with the local time in it", &["127.0.0.1:9090", "udp:127.0.0.1:9090"])
};

/// What is the same for all of them, unless it is said to be otherwise.
const fn small(name: &'static str, about: &'static str, listens: &'static [&'static str]) -> Builtin {
    Builtin {
        name,
        about,
        listens,
        framing: |_| Framing::Raw,
        by_itself: true,
        datagrams: true,
        headings: &[],
        check: super::anything,
        make: |_| Ok(Box::new(Upper)),
        tries: |_, _, _| None,
    }
}

/// Flags for one of them each.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ClassicArgs {
    /// What greet answers; {} stands for the message [default: 'hello {}']
    ///
    /// Without {} it answers everybody the same.
    #[arg(long, value_name = "TEXT", help_heading = "Greet")]
    template: Option<String>,
    /// The robot's name [default: switchboard]
    #[arg(long, value_name = "NAME", help_heading = "Robot")]
    name: Option<String>,
    /// The robot's rules, instead of its own
    ///
    /// A TOML file, see Robot rules below.
    #[arg(long, value_name = "FILE", help_heading = "Robot")]
    rules: Option<PathBuf>,
    /// Fix the dice: the same messages get the same answers
    #[arg(long, value_name = "N", help_heading = "Parrot")]
    seed: Option<u64>,
}

fn greet(wishes: &Wishes) -> Made {
    let template = wishes.classic.template.as_deref().unwrap_or(Greet::TEMPLATE);
    let greet = Greet::new(template, wishes.encoding.unwrap_or_default());
    let greet = greet.map_err(|error| Failure::Usage(format!("--template '{template}' cannot be said: {error}")))?;
    Ok(Box::new(greet))
}

fn robot(wishes: &Wishes) -> Made {
    let name = wishes.classic.name.as_deref().unwrap_or(Robot::NAME);
    let rules = match &wishes.classic.rules {
        Some(path) => read_rules(path)?,
        None => Robot::rules(),
    };
    Ok(Box::new(Robot::new(name, rules, wishes.encoding.unwrap_or_default(), TimeZone::system())))
}

#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn parrot(wishes: &Wishes) -> Made {
    let seed = wishes.classic.seed.unwrap_or_else(|| fastrand::u64(..));
    Ok(Box::new(Parrot::new(wishes.encoding.unwrap_or_default(), seed)))
}

/// A robot's rules as a file has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rule: Vec<Rule>,
}

fn read_rules(path: &Path) -> Result<Vec<Rule>, Failure> {
    let RulesFile { rule } = toml_file::read(path)?;
    if rule.is_empty() {
        return Err(Failure::File(format!(
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
fn say_hello_in_text(name: &str, wishes: &Wishes, endpoint: &Endpoint, framing: Framing) -> String {
    let hello = say_hello(name, Framing::Raw, endpoint, framing);
    match wishes.encoding {
        Some(encoding) if encoding != TextEncoding::UTF_8 => {
            format!("{hello} --encoding {}", encoding.name().to_lowercase())
        }
        _ => hello,
    }
}

fn ask_the_time(_: &Wishes, _: &Endpoint, framing: Framing) -> Option<String> {
    (framing == Framing::Raw).then(|| "PROGRAM call clock ADDR '%A %H:%M:%S'".to_owned())
}
