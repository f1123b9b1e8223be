//! The checked arguments of `call chat`.

use std::path::PathBuf;
use std::time::Duration;

use switchboard::client::chat::SessionOptions;
use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::is_valid_nick;
use switchboard::{Framing, TextEncoding};

use super::args::{CallChatArgs, ColorChoice};
use super::text_protocol::{TextProtocol, TextTransport};
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::commands::call::timeout::nonzero_timeout;
use crate::cli::error::CliError;
use crate::cli::terminal;
use crate::cli::terminal::capabilities::has_colors;

/// The name in datagrams of a user without a name.
const GUEST: &str = "guest";

/// The server, its protocol, and the format of the output.
pub(super) struct CallChatPlan {
    pub(super) server: ServerAddress,
    pub(super) protocol: ChatProtocol,
    /// Time limit for connecting, and for the next answer.
    pub(super) timeout: Duration,
    pub(super) json: bool,
    pub(super) palette: Palette,
    pub(super) history: Option<PathBuf>,
    /// True if a person types at a terminal.
    pub(super) is_interactive: bool,
}

/// The protocol of a server.
pub(super) enum ChatProtocol {
    /// JSON objects in frames.
    Json { framing: Framing, options: SessionOptions },
    /// Lines and text.
    Text(TextProtocol),
}

impl CallChatPlan {
    pub(super) fn new(args: CallChatArgs) -> Result<Self, CliError> {
        let timeout = nonzero_timeout(args.timeout)?;
        let address = address(&args)?;
        let server = ServerAddress::resolve("chat", &address, args.udp, timeout)?;
        let is_interactive = terminal::is_interactive() && !args.json;
        let has_colors = match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_interactive && has_colors(&std::io::stdout()),
        };
        let json = args.json;
        let history = args.history.clone();
        let protocol = match (server.is_udp(), args.framing) {
            (true, Some(framing)) => {
                return Err(CliError::Usage(format!(
                    "--framing {framing} is for streams: each datagram is one message"
                )));
            }
            (true, None) => ChatProtocol::Text(datagrams(args)?),
            (false, Some(framing @ (Framing::Lines | Framing::Raw))) => ChatProtocol::Text(stream(args, framing)?),
            (false, framing) => json_frames(args, framing.unwrap_or(Framing::U32BE), timeout, is_interactive)?,
        };
        let palette = Palette::new(has_colors, []);
        Ok(Self { server, protocol, timeout, json, palette, history, is_interactive })
    }
}

/// Returns the typed address, or the one that `serve` uses for this protocol.
fn address(args: &CallChatArgs) -> Result<String, CliError> {
    let default = match (&args.address, args.udp, args.framing) {
        (Some(typed), ..) => typed,
        (None, true, _) => "127.0.0.1:8003",
        (None, false, Some(Framing::Lines)) => "127.0.0.1:8001",
        (None, false, Some(Framing::Raw)) => {
            return Err(CliError::Usage("--framing raw needs ADDR: 'serve' has no raw port by default".to_owned()));
        }
        (None, false, _) => "127.0.0.1:8000",
    };
    Ok(default.to_owned())
}

fn json_frames(
    args: CallChatArgs,
    framing: Framing,
    greeting_timeout: Duration,
    is_interactive: bool,
) -> Result<ChatProtocol, CliError> {
    if args.encoding != TextEncoding::UTF_8 {
        let encoding = args.encoding;
        return Err(CliError::Usage(format!(
            "--encoding {encoding} is for UDP, and for --framing lines and raw: JSON is always UTF-8"
        )));
    }
    let options = SessionOptions {
        // At a terminal the user can choose another nick. A script must not speak under a nick that
        // it did not ask for.
        require_nick: args.nick.is_some() && !is_interactive,
        nick: args.nick.or_else(user),
        rooms: args.rooms,
        single_connection: args.no_reconnect,
        greeting_timeout,
        seed: fastrand::u64(..),
    };
    Ok(ChatProtocol::Json { framing, options })
}

fn datagrams(args: CallChatArgs) -> Result<TextProtocol, CliError> {
    check_text_options(&args, "a server that is called over UDP")?;
    let encoding = args.encoding;
    let bad_name = |name: &str, why: &str| CliError::Usage(format!("--nick {}: {why}", name.escape_debug()));
    let name = match args.nick {
        Some(name) if name.trim().is_empty() => return Err(bad_name(&name, "a name has visible characters")),
        Some(name) if name.contains(':') => {
            return Err(bad_name(&name, "the first colon of a datagram ends the name, so a name has no colon"));
        }
        Some(name) if name.contains(char::is_control) => {
            return Err(bad_name(&name, "a name has no control characters"));
        }
        Some(name) => {
            encoding.encode(&name).map_err(|error| bad_name(&name, &error.to_string()))?;
            name
        }
        None => user()
            .filter(|name| is_valid_nick(name) && encoding.encode(name).is_ok())
            .unwrap_or_else(|| GUEST.to_owned()),
    };
    Ok(TextProtocol { transport: TextTransport::Datagrams { name }, encoding })
}

fn stream(args: CallChatArgs, framing: Framing) -> Result<TextProtocol, CliError> {
    let server = format!("a server with --framing {framing}");
    check_text_options(&args, &server)?;
    if let Some(nick) = args.nick {
        return Err(CliError::Usage(format!(
            "--nick is not for {server}, which has no greeting: type '/nick {nick}' if the server has that command"
        )));
    }
    Ok(TextProtocol { transport: TextTransport::Stream(framing), encoding: args.encoding })
}

/// Rejects the options that need JSON.
fn check_text_options(args: &CallChatArgs, server: &str) -> Result<(), CliError> {
    if args.json {
        return Err(CliError::Usage(format!("--json prints the events of JSON, which {server} does not send")));
    }
    if let Some(room) = args.rooms.first() {
        return Err(CliError::Usage(format!(
            "--room is not for {server}: type '/join {room}' if the server has that command"
        )));
    }
    Ok(())
}

/// Returns the user's name, which need not be a nick.
fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|name| !name.trim().is_empty())
}
