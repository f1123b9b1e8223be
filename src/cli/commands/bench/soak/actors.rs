//! The list of all clients of a soak.

use super::context::ActorContext;
use super::{attacks, clients, loads};

/// A client, by what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) name: &'static str,
    /// True if its answers are checked.
    pub(super) is_honest: bool,
    /// Runs it until the stop signal.
    pub(super) run: fn(&mut ActorContext<'_>),
}

const fn client(name: &'static str, run: fn(&mut ActorContext<'_>)) -> Actor {
    Actor { name, is_honest: true, run }
}

const fn attack(name: &'static str, run: fn(&mut ActorContext<'_>)) -> Actor {
    Actor { name, is_honest: false, run }
}

pub(super) const ACTORS: [Actor; 24] = [
    client("echo", loads::echo),
    client("echo, one message a connection", loads::echo_churn),
    client("echo over UDP", loads::echo_datagrams),
    client("echo of lines", clients::echo_lines),
    client("upper", clients::upper),
    client("greet", clients::greet),
    client("robot", clients::robot),
    client("parrot", clients::parrot),
    client("clock", clients::clock),
    client("greet and clock over UDP", clients::datagrams),
    client("files", clients::files),
    client("files, plain", clients::plain_files),
    client("exec", clients::exec),
    client("chat, JSON", loads::chat_members),
    client("chat, lines", clients::chat_lines),
    client("chat over UDP", clients::chat_datagrams),
    attack("resets", attacks::resets),
    attack("garbage", attacks::garbage),
    attack("connections closed at once", attacks::churn),
    attack("half requests", attacks::half_requests),
    attack("readers that do not read", attacks::slow_readers),
    attack("floods of small requests", attacks::floods),
    attack("floods of datagrams", attacks::datagrams),
    attack("commands refused or too long", attacks::commands),
];
