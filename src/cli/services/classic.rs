//! The small services on the command line: upper, greet, robot, parrot, clock.

use std::path::PathBuf;

use switchboard::{Endpoint, Framing, Service};

use super::{Builtin, Wishes};
use crate::cli::failure::Failure;

const fn raw(name: &'static str, about: &'static str, listens: &'static [&'static str]) -> Builtin {
    Builtin {
        name,
        about,
        listens,
        framing: |_| Framing::Raw,
        by_itself: true,
        datagrams: true,
        headings: &[],
        check: super::anything,
        make: |_| Err(Failure::Failed("not there yet".to_owned())),
        tries: say_hello,
    }
}

pub(super) const UPPER: Builtin = raw("upper", "returns the bytes with ASCII letters upper-cased", &["127.0.0.1:8080"]);

pub(super) const GREET: Builtin = Builtin {
    headings: &["Text", "Greet"],
    ..raw(
        "greet",
        "answers the first message with hello and the message, then closes",
        &["127.0.0.1:8898", "udp:127.0.0.1:8002"],
    )
};

pub(super) const ROBOT: Builtin = Builtin {
    headings: &["Text", "Robot"],
    ..raw("robot", "answers by keywords: hello, name, time", &["127.0.0.1:10086"])
};

pub(super) const PARROT: Builtin = Builtin {
    headings: &["Text", "Parrot"],
    ..raw("parrot", "answers with any message it was ever told; Bye closes", &["127.0.0.1:10087"])
};

pub(super) const CLOCK: Builtin =
    raw("clock", "answers a strftime format with the local time in it", &["127.0.0.1:9090", "udp:127.0.0.1:9090"]);

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
    /// A TOML file: see 'Robot rules' below.
    #[arg(long, value_name = "FILE", help_heading = "Robot")]
    rules: Option<PathBuf>,
    /// Fix the dice: the same messages get the same answers
    #[arg(long, value_name = "N", help_heading = "Parrot")]
    seed: Option<u64>,
}

/// Tries a service that answers whatever it is told.
pub(super) fn say_hello(endpoint: &Endpoint, _framing: Framing) -> Option<String> {
    let _ = endpoint;
    None
}
