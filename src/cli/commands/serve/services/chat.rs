//! The chat service on the command line.

use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::{Chat, ChatConfig};
use switchboard::{Endpoint, Framing};

use super::args::{ChatServiceArgs, ServiceArgs};
use super::builtin::{BuiltinService, Culprit, Listeners, MakeResult, PlannedListener, ServiceArgError};
use crate::cli::terminal::capabilities::has_colors;

pub(super) const CHAT: BuiltinService = BuiltinService {
    name: "chat",
    about: "Run chat rooms for JSON frames, plain lines and datagrams",
    default_listen: &["127.0.0.1:8000", "lines@127.0.0.1:8001", "udp:127.0.0.1:8003"],
    framing: |_| Framing::U32BE,
    is_default: true,
    supports_udp: true,
    options: &[
        "encoding",
        "messages-per-second",
        "burst",
        "kept-messages",
        "max-rooms",
        "max-per-address",
        "udp-public",
        "console",
        "colour",
    ],
    refine: |arg| match arg.get_long() {
        Some("encoding") => arg.long_help(
            "Text encoding of lines, raw and UDP, such as gbk [default: utf-8]\n\n\
             A label of the WHATWG Encoding Standard. JSON is always UTF-8.",
        ),
        _ => arg,
    },
    help: "\
Examples:
  switchboard serve chat
  switchboard serve chat --console --colour eva=red
  switchboard serve chat --listen 0.0.0.0:8000 --max-per-address 20
  switchboard serve chat --listen lines@127.0.0.1:8001 --encoding gbk
",
    check,
    make,
    example,
};

/// Checks that colours have a console, that frames are large enough, and that UDP beyond loopback
/// is allowed explicitly.
fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), ServiceArgError> {
    // Not `requires` of clap, which checks the flags before the service's name without those after.
    if !args.chat.colour.is_empty() && !args.chat.console {
        let (colour, console) = (args.spelled("colour"), args.spelled("console"));
        return Err(Culprit::Option("colour").usage(format!("{colour} applies only to the console: add {console}")));
    }
    for (index, PlannedListener { endpoint, framing, .. }) in listeners.iter().enumerate() {
        let wrong = |culprit: Culprit, text: &str| Err(culprit.usage(format!("{endpoint} {text}")));
        // A frame of at most 255 bytes is too small for the messages that members receive.
        if *framing == Framing::U8 {
            let text = "cannot use the framing u8: its frames are too small for chat; choose u16be or wider";
            return wrong(Culprit::Framing(index), text);
        }
        // Chat replies to datagrams, whose source addresses can be forged. Beyond loopback it does
        // so only with --udp-public.
        let is_public = matches!(endpoint, Endpoint::Udp(addr) if !addr.ip().is_loopback());
        if is_public && !args.chat.udp_public {
            let option = args.spelled("udp-public");
            let text = format!("is reachable from other machines: add {option} to allow that");
            return wrong(Culprit::Listener(index), &text);
        }
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "other services can fail")]
fn make(args: &ServiceArgs) -> MakeResult {
    let ChatServiceArgs { colour, .. } = &args.chat;
    let chat = Chat::with_palette(config(args), Palette::new(has_colors(&std::io::stdout()), colour.clone()));
    Ok((chat.options("chat"), Box::new(chat)))
}

fn config(args: &ServiceArgs) -> ChatConfig {
    let (chat, defaults) = (&args.chat, ChatConfig::default());
    ChatConfig {
        max_requests_per_second: chat.messages_per_second.unwrap_or(defaults.max_requests_per_second),
        max_burst_requests: chat.burst.unwrap_or(defaults.max_burst_requests),
        max_kept_messages: chat.kept_messages.unwrap_or(defaults.max_kept_messages),
        max_rooms: chat.max_rooms.map_or(defaults.max_rooms, Into::into),
        max_members_per_address: chat.max_per_address.or(defaults.max_members_per_address),
        accepts_remote_datagrams: chat.udp_public,
        encoding: args.encoding.map_or(defaults.encoding, |encoding| encoding.encoding()),
        run_id: Some(format!("{:016x}", fastrand::u64(..))),
        ..defaults
    }
}

/// Returns a command that joins the chat, sends a message where it can, and leaves.
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
