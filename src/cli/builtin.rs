//! The services that can be named on the command line. A new one is one more entry in [`ALL`].

use std::time::Duration;

use switchboard::services::Echo;
use switchboard::services::chat::Chat;
use switchboard::{Framing, Service};

use super::chat::ChatPlan;

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
    /// Makes it as it was asked for.
    pub(super) make: fn(&Wishes) -> Box<dyn Service + Send>,
}

/// What was said about services beyond where they listen.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Processor time to spend on each message.
    pub(super) work: Duration,
    pub(super) chat: ChatPlan,
}

pub(super) static ALL: [Builtin; 2] = [
    Builtin {
        name: "echo",
        about: "returns each payload, framed the same way; a datagram comes back to its sender",
        listens: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
        framing: Framing::U32BE,
        takes_work: true,
        make: echo,
    },
    Builtin {
        name: "chat",
        about: "rooms for JSON frames, plain lines and datagrams",
        listens: &["127.0.0.1:8000", "lines@127.0.0.1:8001", "udp:127.0.0.1:8003"],
        framing: Framing::U32BE,
        takes_work: false,
        make: chat,
    },
];

fn echo(Wishes { work, .. }: &Wishes) -> Box<dyn Service + Send> {
    if work.is_zero() { Box::new(Echo) } else { Box::new(Echo::with_work(*work)) }
}

fn chat(Wishes { chat, .. }: &Wishes) -> Box<dyn Service + Send> {
    Box::new(Chat::with_palette(chat.rules.clone(), chat.palette()))
}

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}
