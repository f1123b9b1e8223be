//! The arguments of `call chat`.

use std::path::PathBuf;

use clap::ValueEnum;
use switchboard::Framing;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CallChatArgs {
    /// The server's address
    ///
    /// host:port, [v6]:port or unix:PATH.
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub(super) address: String,
    /// Your nick [default: the user's name; without one you are a guest]
    ///
    /// If the nick is taken, the client takes the one that the server offers.
    #[arg(long, value_name = "NAME")]
    pub(super) nick: Option<String>,
    /// Join this room; may be repeated, and you speak in the last one [default: lobby]
    #[arg(long = "room", value_name = "ROOM")]
    pub(super) rooms: Vec<String>,
    /// Print each event as the server sent it, one JSON object a line, and nothing else
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with 1 when the connection is lost, instead of reopening it
    #[arg(long)]
    pub(super) no_reconnect: bool,
    /// Colour names
    #[arg(long, visible_alias = "colour", value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: ColorChoice,
    /// Keep typed lines in this file, and find them again with the arrow keys in the next session
    ///
    /// The file also holds private messages. The client makes it readable by its owner only, even
    /// if it existed before.
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
    /// The length prefix of the server's frames: any but lines and raw
    #[arg(long, value_name = "NAME", default_value_t = Framing::U32BE)]
    pub(super) framing: Framing,
}

/// The values of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// at a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// always
    Always,
    /// never
    Never,
}

#[cfg(test)]
mod tests {
    use switchboard::client::chat::COMMANDS;

    #[test]
    fn help_lists_the_commands_of_the_library() {
        let text = include_str!("chat.txt");
        let (listed, _) = text.split_once("\n\n").unwrap();
        let mut listed: Vec<_> =
            listed.lines().filter(|line| line.starts_with("  /") && !line.contains("//")).collect();
        // The help shortens two descriptions at their semicolon.
        let mut known = COMMANDS.map(|(name, follows, does)| {
            let does = does.split(';').next().filter(|_| matches!(name, "/help" | "/quit")).unwrap_or(does);
            format!("  {:<23}{does}", format!("{name} {follows}"))
        });
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
