//! `call echo`, `upper`, `greet`, `robot` and `parrot`: lines there, answers back. Here is what the words mean, and what the five
//! differ in; `server`, `stream` and `datagrams` are for `call clock`, too.

mod datagrams;
mod lines;
mod manner;
mod screen;
mod stream;
mod talk;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use switchboard::client::text::ReplyEnd;
use switchboard::{Framing, TextEncoding};

use super::server::Server;
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::units::HumanDuration;
use crate::cli::verbosity::Verbosity;

pub(super) use datagrams::{Datagrams, any_address, cannot_ask};
use lines::Lines;
pub(super) use manner::Manner;
pub(super) use screen::{Form, Screen, tell};
pub(super) use stream::{Lane, Waited, deadline};
use talk::{Link, Talk};
pub(super) use talk::{Reply, Text};

/// How long a server may take to accept a connection, and for each answer.
pub(super) const TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(10));

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("text.txt"))]
pub(in crate::cli) struct TextArgs {
    /// Where the server is [default: where 'serve' has it, see Addresses below]
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. Over TCP all addresses of a name are tried in turn.
    #[arg(value_name = "ADDR")]
    address: Option<String>,
    /// How the server cuts streams into messages [default: u32be for echo, raw for the others]
    ///
    /// The framings are those of 'serve': raw, lines, u32be and so on. Datagrams have none.
    #[arg(long, value_name = "NAME")]
    framing: Option<Framing>,
    /// How the server's text is encoded, as in gbk
    ///
    /// A label of the WHATWG's encoding standard. What is read from standard input and printed is UTF-8 always.
    #[arg(long, value_name = "LABEL", default_value_t = TextEncoding::UTF_8)]
    encoding: TextEncoding,
    /// Ask over UDP: the same as udp: before ADDR
    #[arg(long)]
    udp: bool,
    /// How long to wait for a connection, and for each answer
    #[arg(long, value_name = "TIME", default_value_t = TIMEOUT)]
    timeout: HumanDuration,
    /// Print one JSON object a line: {"sent":…,"answer":…}; a line that got no answer has null
    #[arg(long)]
    json: bool,
}

pub(super) fn call(kind: Kind, typed: TextArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let limit = some_time(typed.timeout)?;
    let address = typed.address.unwrap_or_else(|| kind.address(typed.udp).to_owned());
    let server = Server::find(kind.name(), &address, typed.udp)?;
    let link = if server.is_udp() {
        if let Some(framing) = typed.framing {
            return Err(CliError::Usage(format!(
                "--framing {framing} is for streams: each datagram is a message of its own"
            )));
        }
        Link::Datagrams(Datagrams::open(server, typed.encoding, limit, kind.may_answer())?)
    } else {
        let framing = typed.framing.unwrap_or(if kind == Kind::Echo { Framing::U32BE } else { Framing::Raw });
        let manner = Manner { framing, ends: kind.ends(), one_each: kind == Kind::Greet, quiet: Duration::ZERO };
        Link::Lane(Lane::new(server, manner, typed.encoding, limit))
    };
    let is_person = io::stdin().is_terminal() && io::stdout().is_terminal() && !typed.json;
    if !is_person {
        // A log on the screen would be in the way of what is typed; here it is not.
        logging::start(verbosity.level());
    }
    let lines = if is_person { Lines::typed(kind.name())? } else { Lines::piped() };
    let form = if typed.json { Form::Json } else { Form::Text };
    Talk::new(link, Screen::new(form, typed.encoding), kind == Kind::Parrot).run(lines)
}

/// A time limit that can be kept.
pub(super) fn some_time(HumanDuration(limit): HumanDuration) -> Result<Duration, CliError> {
    if limit.is_zero() {
        return Err(CliError::Usage("--timeout 0 leaves no time for an answer: write some, such as 10s".to_owned()));
    }
    Ok(limit)
}

/// Whom it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Echo,
    Upper,
    Greet,
    Robot,
    Parrot,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Upper => "upper",
            Self::Greet => "greet",
            Self::Robot => "robot",
            Self::Parrot => "parrot",
        }
    }

    /// Where it is served when nothing else is said.
    const fn address(self, udp: bool) -> &'static str {
        match self {
            Self::Echo => "127.0.0.1:7000",
            Self::Upper => "127.0.0.1:8080",
            Self::Greet if udp => "127.0.0.1:8002",
            Self::Greet => "127.0.0.1:8898",
            Self::Robot => "127.0.0.1:10086",
            Self::Parrot => "127.0.0.1:10087",
        }
    }

    const fn ends(self) -> ReplyEnd {
        match self {
            Self::Echo | Self::Upper => ReplyEnd::RequestLength,
            Self::Greet => ReplyEnd::EndOfStream,
            Self::Robot | Self::Parrot => ReplyEnd::SingleRead,
        }
    }

    /// Whether some bytes may be the answer to others, as far as it can be told: the first were sent, the second came. Upper changes
    /// bytes, which in some encodings are parts of characters.
    fn may_answer(self) -> fn(&[u8], &[u8]) -> bool {
        match self {
            Self::Echo => |sent, came| sent == came,
            Self::Upper => |sent, came| sent.eq_ignore_ascii_case(came),
            Self::Greet | Self::Robot | Self::Parrot => |_, _| true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_each_default_address() {
        let help = include_str!("text.txt");
        for kind in [Kind::Echo, Kind::Upper, Kind::Greet, Kind::Robot, Kind::Parrot] {
            for udp in [false, true] {
                assert!(help.contains(kind.address(udp)), "{kind:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_the_answer_is_told_from_it() {
        assert!(Kind::Echo.may_answer()(b"hi", b"hi") && !Kind::Echo.may_answer()(b"hi", b"HI"));
        assert!(Kind::Upper.may_answer()(b"hi", b"HI") && !Kind::Upper.may_answer()(b"hi", b"HO"));
        assert!(Kind::Robot.may_answer()(b"hi", b"anything"));
    }
}
