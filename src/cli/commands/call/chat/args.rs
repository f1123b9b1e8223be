//! The arguments of `call chat`.

use std::path::PathBuf;

use clap::ValueEnum;
use switchboard::{Framing, TextEncoding};

use crate::cli::commands::call::timeout::DEFAULT_TIMEOUT;
use crate::cli::units::HumanDuration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CallChatArgs {
    /// The server's address [default: 127.0.0.1:8000]
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. The default port with --framing lines is
    /// 8001, and over UDP 8003.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,
    /// Your nick [default: the user's name, or guest if the name is not a valid nick]
    ///
    /// If the nick is taken, the client takes the one that the server offers. Over UDP it is the
    /// name in each datagram.
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
    /// The framing of the stream: lines or raw for plain text, another for JSON [default: u32be]
    ///
    /// With lines, each line is sent with a line feed; with raw, as it is. See Plain text below.
    #[arg(long, value_name = "NAME")]
    pub(super) framing: Option<Framing>,
    /// The encoding of plain text, such as gbk
    ///
    /// A label of the WHATWG Encoding Standard. Standard input and output, and JSON, are always
    /// UTF-8.
    #[arg(long, value_name = "LABEL", default_value_t = TextEncoding::UTF_8)]
    pub(super) encoding: TextEncoding,
    /// Use UDP: the same as udp: before ADDR
    #[arg(long)]
    pub(super) udp: bool,
    /// Time limit for connecting, for the greeting, and for an answer in plain text
    #[arg(long, value_name = "TIME", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: HumanDuration,
}

/// The values of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// at a terminal, unless `NO_COLOR` is set or `TERM` is dumb
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
