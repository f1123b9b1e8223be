//! The services that can be named on the command line. A new one is one more entry in [`ALL`].

use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{Framing, Service};

/// A service, and how it is served when nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// What it does, for the help.
    pub(super) about: &'static str,
    /// Where it listens, in the words of `--listen`.
    pub(super) listens: &'static [&'static str],
    pub(super) framing: Framing,
    /// Whether it can be given work to do for each message, for measurements.
    pub(super) takes_work: bool,
    /// Makes it, with so much work for each message.
    pub(super) make: fn(Duration) -> Box<dyn Service + Send>,
}

pub(super) static ALL: [Builtin; 1] = [Builtin {
    name: "echo",
    about: "returns each payload, framed the same way; a datagram comes back to its sender",
    listens: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
    framing: Framing::U32BE,
    takes_work: true,
    make: echo,
}];

fn echo(work: Duration) -> Box<dyn Service + Send> {
    if work.is_zero() { Box::new(Echo) } else { Box::new(Echo::with_work(work)) }
}

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}
