//! The services that can be named on the command line. A new one is one more entry in [`ALL`].

use switchboard::services::Echo;
use switchboard::{Framing, Reactor, ServiceId};

/// A service, and how it is served when nothing else is said.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// What it does, for the help.
    pub(super) about: &'static str,
    /// Where it listens, in the words of `--listen`.
    pub(super) listens: &'static [&'static str],
    pub(super) framing: Framing,
    /// Adds it to a reactor, under the given name.
    pub(super) add: fn(&mut Reactor, &str) -> ServiceId,
}

pub(super) static ALL: [Builtin; 1] = [Builtin {
    name: "echo",
    about: "returns each payload, framed the same way; a datagram comes back to its sender",
    listens: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
    framing: Framing::U32BE,
    add: |reactor, name| reactor.add_service(name, Echo),
}];

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}
