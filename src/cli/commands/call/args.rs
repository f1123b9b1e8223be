//! What was typed after `call`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use switchboard::Framing;

use super::clock::ClockArgs;
use super::exec::ExecArgs;
use super::files::FilesArgs;
use super::text::TextArgs;

/// The clients, one for each service that has one.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Callee {
    /// Send lines to echo and print what comes back
    Echo(TextArgs),
    /// Send lines to upper and print them in capitals
    Upper(TextArgs),
    /// Tell greet one line and print its greeting
    Greet(TextArgs),
    /// Talk with robot
    Robot(TextArgs),
    /// Talk with parrot, until Bye
    Parrot(TextArgs),
    /// Ask clock for the time
    Clock(ClockArgs),
    /// List and get files
    Files(FilesArgs),
    /// Have a command run
    Exec(ExecArgs),
    /// Chat at the terminal, or from a pipe
    ///
    /// At a terminal, messages appear above the line that is being typed. Where standard input or output is none, each line of
    /// the input is said, and after its end and the last answer the program ends. A lost connection is opened again, and what
    /// was said meanwhile follows.
    #[command(after_long_help = include_str!("chat/chat.txt"))]
    Chat(ChatArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ChatArgs {
    /// Where the server is
    ///
    /// host:port, [v6]:port or unix:PATH.
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub(super) address: String,
    /// Your nick [default: the user's name; without one you are a guest]
    ///
    /// Where it is taken, the one that the server offers is taken instead.
    #[arg(long, value_name = "NAME")]
    pub(super) nick: Option<String>,
    /// Enter this room; may be repeated, and you speak in the last [default: lobby]
    #[arg(long = "room", value_name = "ROOM")]
    pub(super) rooms: Vec<String>,
    /// Print each event as the server sent it, one JSON object a line, and nothing else
    #[arg(long)]
    pub(super) json: bool,
    /// End with 1 when the connection is lost, instead of opening it again
    #[arg(long)]
    pub(super) no_reconnect: bool,
    /// Colour names
    #[arg(long, visible_alias = "colour", value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: When,
    /// Keep typed lines in this file, and find them again with the arrow keys next time
    ///
    /// Messages to one person are among them. Nobody but you may read the file, even one that was there before.
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
    /// The length prefix of the server's frames: any but lines and raw
    #[arg(long, value_name = "NAME", default_value_t = Framing::U32BE)]
    pub(super) framing: Framing,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
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
    fn the_help_lists_the_commands_that_there_are() {
        let text = include_str!("chat/chat.txt");
        let (listed, _) = text.split_once("\n\n").unwrap();
        let mut listed: Vec<_> =
            listed.lines().filter(|line| line.starts_with("  /") && !line.contains("//")).collect();
        // Its descriptions may be shorter, but not other ones.
        let mut known = COMMANDS.map(|(name, follows, does)| {
            let does = does.split(';').next().filter(|_| matches!(name, "/help" | "/quit")).unwrap_or(does);
            format!("  {:<23}{does}", format!("{name} {follows}"))
        });
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
