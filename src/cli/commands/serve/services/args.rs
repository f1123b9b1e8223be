//! Flags of the services, beyond the addresses that they listen on.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use switchboard::TextEncoding;
use switchboard::services::chat::colour::NickColour;

use crate::cli::units::HumanDuration;

/// What can be said about services beyond where they listen. No flag has a default here, so that a service's own stands in
/// one place: the service.
#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct ServiceArgs {
    #[command(flatten)]
    pub(super) echo: EchoServiceArgs,
    /// How text is encoded, as in gbk [default: utf-8]
    ///
    /// A label of the WHATWG's encoding standard. For greet, robot and parrot, and for chat on lines, raw and UDP; chat's JSON is
    /// UTF-8 always.
    #[arg(long, value_name = "LABEL", help_heading = "Text")]
    pub(super) encoding: Option<TextEncoding>,
    #[command(flatten)]
    pub(super) classic: ClassicServiceArgs,
    /// What the clients speak: framed or plain for files, header, length or ready for exec [default: framed, header]
    #[arg(long, value_name = "NAME", help_heading = "Files and exec")]
    #[arg(value_parser = PossibleValuesParser::new(["framed", "plain", "header", "length", "ready"]))]
    pub(super) dialect: Option<String>,
    #[command(flatten)]
    pub(super) files: FilesServiceArgs,
    #[command(flatten)]
    pub(super) exec: ExecServiceArgs,
    #[command(flatten)]
    pub(super) chat: ChatServiceArgs,
}

impl ServiceArgs {
    /// Whether the terminal is to be chat's operator's.
    pub(in crate::cli) fn has_console(&self) -> bool {
        self.chat.console
    }
}

/// Flags for echo alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Echo")]
pub(super) struct EchoServiceArgs {
    /// Microseconds of processor time to spend on each message before it is answered [default: 0]
    ///
    /// It stands for real work in measurements.
    #[arg(long, value_name = "N")]
    pub(super) work_us: Option<u32>,
}

/// Flags for one of them each.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ClassicServiceArgs {
    /// What greet answers; {} stands for the message [default: 'hello {}']
    ///
    /// Without {} it answers everybody the same.
    #[arg(long, value_name = "TEXT", help_heading = "Greet")]
    pub(super) template: Option<String>,
    /// The robot's name [default: switchboard]
    #[arg(long, value_name = "NAME", help_heading = "Robot")]
    pub(super) name: Option<String>,
    /// The robot's rules, instead of its own
    ///
    /// A TOML file, see Robot rules below.
    #[arg(long, value_name = "FILE", help_heading = "Robot")]
    pub(super) rules: Option<PathBuf>,
    /// Fix the dice: the same messages get the same answers
    #[arg(long, value_name = "N", help_heading = "Parrot")]
    pub(super) seed: Option<u64>,
}

/// Flags for files alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub(super) struct FilesServiceArgs {
    /// Serve the files below this directory; files has to have one
    ///
    /// Only regular files that this user may read, and no name leads out of it, whatever is linked in it.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

/// Flags for exec alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Exec")]
#[cfg_attr(not(unix), expect(dead_code, reason = "commands are not run there"))]
pub(super) struct ExecServiceArgs {
    /// A program that may be run; may be repeated
    ///
    /// A name that is in PATH now, or a path from the root. Clients have to write it as it is written here.
    #[arg(long, value_name = "PROGRAM")]
    pub(super) allow: Vec<String>,
    /// Hand each line to /bin/sh -c; loopback only
    ///
    /// Whoever can connect, which is everybody on this machine, can then do all that you can.
    #[arg(long)]
    pub(super) shell: bool,
    /// A file that holds what clients have to say first; needed beyond loopback
    ///
    /// One line of at least 16 bytes, in a file that nobody else can read. Each request begins with it, on a line of its own.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// How long a command may run before it and what it has started are killed [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub(super) timeout: Option<HumanDuration>,
    /// Commands that may run at once; others wait [default: 4]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
}

/// Flags for chat alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Chat")]
#[group(id = "chat")]
pub(super) struct ChatServiceArgs {
    /// Messages a second that one connection may send for long; 0: as many as it likes [default: 20]
    ///
    /// Who sends more is told so and disconnected.
    #[arg(long, value_name = "N")]
    pub(super) messages_per_second: Option<u32>,
    /// Messages that it may send at once [default: 40]
    #[arg(long, value_name = "N")]
    pub(super) burst: Option<u32>,
    /// Messages of a room that are kept for those who come back [default: 1000]
    #[arg(long, value_name = "N")]
    pub(super) kept_messages: Option<usize>,
    /// Rooms that there may be, up to 65535 [default: 10000]
    ///
    /// Beyond it the room that has been empty for longest is forgotten.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) max_rooms: Option<u16>,
    /// Connections from one address; 0: no cap [default: 256, and none for this machine's own]
    #[arg(long, value_name = "N")]
    pub(super) max_per_address: Option<usize>,
    /// Hear datagrams from other machines, too
    ///
    /// The sender of a datagram can be forged, so others could be sent what they never asked for.
    #[arg(long)]
    pub(super) udp_public: bool,
    /// Make this terminal the operator's: it shows what is said, and what is typed is said as 'operator'
    ///
    /// /help lists the commands: /kick NICK, /ban ADDR, /rooms, /who, /stats, /quit and more. @NICK TEXT is said to one person.
    #[arg(long)]
    pub(super) console: bool,
    /// Show one name in this colour on the console; may be repeated
    #[arg(long, alias = "color", value_name = "NAME=COLOUR", requires = "console")]
    pub(super) colour: Vec<NickColour>,
}
