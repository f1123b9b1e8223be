//! The checked arguments of `call chat`.

use std::path::PathBuf;

use switchboard::Framing;
use switchboard::client::chat::SessionOptions;
use switchboard::services::chat::colour::Palette;

use super::args::{CallChatArgs, ColorChoice};
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::commands::call::timeout::CONNECT_TIMEOUT;
use crate::cli::error::CliError;
use crate::cli::terminal;

/// The server, the session's options, and the format of the output.
pub(super) struct CallChatPlan {
    pub(super) server: ServerAddress,
    pub(super) framing: Framing,
    pub(super) session_options: SessionOptions,
    pub(super) json: bool,
    pub(super) palette: Palette,
    pub(super) history: Option<PathBuf>,
    /// True if a person types at a terminal.
    pub(super) is_interactive: bool,
}

impl CallChatPlan {
    pub(super) fn new(args: CallChatArgs) -> Result<Self, CliError> {
        if matches!(args.framing, Framing::Lines | Framing::Raw) {
            let framing = args.framing;
            return Err(CliError::Usage(format!(
                "--framing {framing} is not for JSON: choose one with a length, such as u32be"
            )));
        }
        let server = ServerAddress::resolve_stream("chat", &args.address, CONNECT_TIMEOUT)?;
        let is_interactive = terminal::is_interactive() && !args.json;
        let has_colors = match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_interactive && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let user = || std::env::var("USER").ok().filter(|name| !name.trim().is_empty());
        Ok(Self {
            server,
            framing: args.framing,
            session_options: SessionOptions {
                // At a terminal the user can choose another nick. A script must not speak under
                // a nick that it did not ask for.
                require_nick: args.nick.is_some() && !is_interactive,
                nick: args.nick.or_else(user),
                rooms: args.rooms,
                single_connection: args.no_reconnect,
                seed: fastrand::u64(..),
            },
            json: args.json,
            palette: Palette::new(has_colors, []),
            history: args.history,
            is_interactive,
        })
    }
}
