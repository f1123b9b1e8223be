//! What can be said about chat on the command line, and what it means.

use std::io::IsTerminal;

use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::{Chat, ChatRules};
use switchboard::{Endpoint, Framing, Service};

use super::args::{ChatServiceArgs, ServiceArgs};
use super::builtin::{BuiltinService, Listeners};
use crate::cli::error::CliError;

pub(super) const CHAT: BuiltinService = BuiltinService {
    name: "chat",
    about: "rooms for JSON frames, plain lines and datagrams",
    default_listen: &["127.0.0.1:8000", "lines@127.0.0.1:8001", "udp:127.0.0.1:8003"],
    framing: |_| Framing::U32BE,
    is_default: true,
    datagrams: true,
    headings: &["Text", "Chat"],
    check,
    make,
    example,
};

/// What can be served as it is to be.
fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), CliError> {
    // In a frame of at most 255 bytes, members would not be sent what others say.
    if let Some((endpoint, _)) = listeners.iter().find(|(_, framing)| *framing == Framing::U8) {
        let text = format!("a frame of u8 is too small for chat at {endpoint}: choose u16be or wider");
        return Err(CliError::Usage(text));
    }
    // Chat answers datagrams, whose senders can be forged: beyond this machine it does so only where it was told to.
    let is_public = |(endpoint, _): &&(Endpoint, Framing)| match endpoint {
        Endpoint::Udp(addr) => !addr.ip().is_loopback(),
        _ => false,
    };
    match listeners.iter().find(is_public) {
        Some((endpoint, _)) if !args.chat.udp_public => {
            let text = format!("{endpoint} can be reached from other machines: give --udp-public, too, to allow that");
            Err(CliError::Usage(text))
        }
        _ => Ok(()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn make(args: &ServiceArgs) -> Result<Box<dyn Service + Send>, CliError> {
    let ChatServiceArgs { colour, .. } = &args.chat;
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    Ok(Box::new(Chat::with_palette(rules(args), Palette::new(coloured, colour.clone()))))
}

fn rules(args: &ServiceArgs) -> ChatRules {
    let (typed, standard) = (&args.chat, ChatRules::default());
    ChatRules {
        messages_per_second: typed.messages_per_second.unwrap_or(standard.messages_per_second),
        burst: typed.burst.unwrap_or(standard.burst),
        max_kept_messages: typed.kept_messages.unwrap_or(standard.max_kept_messages),
        max_rooms: typed.max_rooms.map_or(standard.max_rooms, Into::into),
        max_per_address: typed.max_per_address.or(standard.max_per_address),
        udp_public: typed.udp_public,
        encoding: args.encoding.map_or(standard.encoding, |encoding| encoding.encoding()),
        server: format!("{:016x}", fastrand::u64(..)),
        ..standard
    }
}

/// Comes in, and goes.
fn example(_: &ServiceArgs, endpoint: &Endpoint, framing: Framing) -> Option<String> {
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
