//! What can be said about chat on the command line, and what it means.

use std::io::IsTerminal;

use switchboard::services::chat::colour::{NickColour, Palette};
use switchboard::services::chat::{Chat, ChatRules};
use switchboard::{Endpoint, Framing, Service};

use super::{Builtin, Listeners, Wishes};
use crate::cli::failure::Failure;

pub(super) const CHAT: Builtin = Builtin {
    name: "chat",
    about: "rooms for JSON frames, plain lines and datagrams",
    listens: &["127.0.0.1:8000", "lines@127.0.0.1:8001", "udp:127.0.0.1:8003"],
    framing: |_| Framing::U32BE,
    by_itself: true,
    datagrams: true,
    headings: &["Text", "Chat"],
    check,
    make,
    tries,
};

/// Flags for chat alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Chat")]
#[group(id = "chat")]
pub(super) struct ChatArgs {
    /// Messages a second that one connection may send for long; 0: as many as it likes [default: 20]
    ///
    /// Who sends more is told so and disconnected.
    #[arg(long, value_name = "N")]
    messages_per_second: Option<u32>,
    /// Messages that it may send at once [default: 40]
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Messages of a room that are kept for those who come back [default: 1000]
    #[arg(long, value_name = "N")]
    kept_messages: Option<usize>,
    /// Rooms that there may be, up to 65535 [default: 10000]
    ///
    /// Beyond it the room that has been empty for longest is forgotten.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_rooms: Option<u16>,
    /// Connections from one address; 0: no cap [default: 256, and none for this machine's own]
    #[arg(long, value_name = "N")]
    max_per_address: Option<usize>,
    /// Hear datagrams from other machines, too
    ///
    /// The sender of a datagram can be forged, so others could be sent what they never asked for.
    #[arg(long)]
    udp_public: bool,
    /// Make this terminal the operator's: it shows what is said, and what is typed is said as 'operator'
    ///
    /// /help lists the commands: /kick NICK, /ban ADDR, /rooms, /who, /stats, /quit and more. @NICK TEXT is said to one person.
    #[arg(long)]
    pub(super) console: bool,
    /// Show one name in this colour on the console; may be repeated
    #[arg(long, alias = "color", value_name = "NAME=COLOUR", requires = "console")]
    colour: Vec<NickColour>,
}

/// What can be served as it is to be.
fn check(wishes: &Wishes, listeners: &Listeners) -> Result<(), Failure> {
    // In a frame of at most 255 bytes, members would not be sent what others say.
    if let Some((endpoint, _)) = listeners.iter().find(|(_, framing)| *framing == Framing::U8) {
        let text = format!("a frame of u8 is too small for chat at {endpoint}: choose u16be or wider");
        return Err(Failure::Usage(text));
    }
    // Chat answers datagrams, whose senders can be forged: beyond this machine it does so only where it was told to.
    let is_public = |(endpoint, _): &&(Endpoint, Framing)| match endpoint {
        Endpoint::Udp(addr) => !addr.ip().is_loopback(),
        _ => false,
    };
    match listeners.iter().find(is_public) {
        Some((endpoint, _)) if !wishes.chat.udp_public => {
            let text = format!("{endpoint} can be reached from other machines: give --udp-public, too, to allow that");
            Err(Failure::Usage(text))
        }
        _ => Ok(()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn make(wishes: &Wishes) -> Result<Box<dyn Service + Send>, Failure> {
    let ChatArgs { colour, .. } = &wishes.chat;
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    Ok(Box::new(Chat::with_palette(rules(wishes), Palette::new(coloured, colour.clone()))))
}

fn rules(wishes: &Wishes) -> ChatRules {
    let (typed, standard) = (&wishes.chat, ChatRules::default());
    ChatRules {
        messages_per_second: typed.messages_per_second.unwrap_or(standard.messages_per_second),
        burst: typed.burst.unwrap_or(standard.burst),
        max_kept_messages: typed.kept_messages.unwrap_or(standard.max_kept_messages),
        max_rooms: typed.max_rooms.map_or(standard.max_rooms, Into::into),
        max_per_address: typed.max_per_address.or(standard.max_per_address),
        udp_public: typed.udp_public,
        encoding: wishes.encoding.map_or(standard.encoding, |encoding| encoding.encoding()),
        server: format!("{:016x}", fastrand::u64(..)),
        ..standard
    }
}

/// Comes in, and goes.
fn tries(_: &Wishes, endpoint: &Endpoint, framing: Framing) -> Option<String> {
    match (endpoint, framing) {
        (Endpoint::Udp(addr), _) => {
            let (host, port) = (addr.ip(), addr.port());
            Some(format!("echo 'you : hello' | nc -u -w 1 {host} {port}"))
        }
        (Endpoint::Tcp(addr), Framing::Lines) => {
            let (host, port) = (addr.ip(), addr.port());
            Some(format!("printf 'hello\\n/quit\\n' | nc {host} {port}"))
        }
        (_, Framing::Lines | Framing::Raw) => None,
        (_, Framing::U32BE) => Some("PROGRAM call chat ADDR --nick you".to_owned()),
        (_, framing) => Some(format!("PROGRAM call chat ADDR --nick you --framing {framing}")),
    }
}
