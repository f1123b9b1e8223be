//! Flags of the services. Each service reads its own from [`ServiceArgs`].

use std::path::PathBuf;

use switchboard::TextEncoding;
use switchboard::services::RobotLanguage;
use switchboard::services::chat::colour::NickColour;

use crate::cli::named_value::one_of;
use crate::cli::units::HumanDuration;

/// The flags of all services. None has a default here: a service's default is defined in the
/// service.
#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct ServiceArgs {
    #[command(flatten)]
    pub(super) echo: EchoServiceArgs,
    /// Text encoding, such as gbk [default: utf-8]
    ///
    /// A label of the WHATWG Encoding Standard.
    #[arg(long, value_name = "LABEL")]
    pub(super) encoding: Option<TextEncoding>,
    #[command(flatten)]
    pub(super) classic: ClassicServiceArgs,
    /// Protocol dialect of the clients
    #[arg(long, value_name = "NAME")]
    pub(super) dialect: Option<String>,
    #[command(flatten)]
    pub(super) files: FilesServiceArgs,
    #[command(flatten)]
    pub(super) exec: ExecServiceArgs,
    #[command(flatten)]
    pub(super) chat: ChatServiceArgs,
    /// The place where the user wrote the arguments.
    #[arg(skip)]
    pub(in crate::cli) origin: Origin,
}

/// The place where the user wrote the arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    #[default]
    CommandLine,
    ConfigFile,
}

impl ServiceArgs {
    /// Returns an option's name in the form in which the user writes it: `--name` or `name`.
    pub(in crate::cli) fn spelled(&self, option: &str) -> String {
        match self.origin {
            Origin::CommandLine => format!("--{option}"),
            Origin::ConfigFile => option.to_owned(),
        }
    }

    /// Returns true if chat is to have an operator's console on this terminal.
    pub(in crate::cli) fn has_console(&self) -> bool {
        self.chat.console
    }
}

/// Flags of echo.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct EchoServiceArgs {
    /// CPU time to spend on each message before the reply, in microseconds [default: 0]
    ///
    /// It simulates real work in measurements.
    #[arg(long, value_name = "N")]
    pub(super) work_us: Option<u32>,
}

/// Flags of upper, greet, robot, parrot and clock.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ClassicServiceArgs {
    /// Reply of greet, in which {} stands for the message [default: 'hello {}']
    ///
    /// Without {} every client receives the same reply.
    #[arg(long, value_name = "TEXT")]
    pub(super) template: Option<String>,
    /// Name of the robot [default: switchboard]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Language of the robot's built-in replies [default: auto]
    ///
    /// auto replies in Chinese to a message with a Chinese character, in English to others. hello
    /// gets 你好.
    #[arg(long, value_name = "LANG", value_parser = one_of(RobotLanguage::NAMES))]
    pub(super) lang: Option<RobotLanguage>,
    /// File with the robot's rules, instead of the built-in ones
    ///
    /// A TOML file, see Robot rules below.
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,
    /// Datagrams of one address and port that are answered in a second; 0: no limit [default: 1000]
    ///
    /// The sender address of a datagram can be forged. Without a limit, one forged datagram could
    /// make this server and another one answer each other without end.
    #[arg(long, value_name = "N")]
    pub(super) answers_per_second: Option<u32>,
    /// Seed of the random choice: with equal seeds, equal messages get equal replies
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

/// Flags of files.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct FilesServiceArgs {
    /// Serve the files below this directory; required
    ///
    /// Only regular files that this user may read. No name leads out of the directory, not even
    /// through a symbolic link.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

/// Flags of exec.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ExecServiceArgs {
    /// Allow clients to run this program; may be repeated
    ///
    /// A name in PATH or an absolute path. Clients must write it exactly as given here.
    #[arg(long, value_name = "PROGRAM")]
    pub(super) allow: Vec<String>,
    /// Run each line with /bin/sh -c; loopback only
    ///
    /// Every user on this machine can connect, and can then do anything that you can do.
    #[arg(long)]
    pub(super) shell: bool,
    /// File with the token that clients must send; required beyond loopback
    ///
    /// One line of at least 16 bytes, in a file that only its owner can read. Each request begins
    /// with a line that holds the token.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Time after which a command and the processes that it started are killed [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub(super) timeout: Option<HumanDuration>,
    /// Maximum number of commands that run at the same time; others wait [default: 4]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
}

/// Flags of chat.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "chat")]
pub(super) struct ChatServiceArgs {
    /// Sustained rate of messages per second from one connection; 0: no limit [default: 20]
    ///
    /// A client that exceeds the limit receives an error and is disconnected.
    #[arg(long, value_name = "N")]
    pub(super) messages_per_second: Option<u32>,
    /// Messages that a connection may send in a burst above the rate [default: 40]
    #[arg(long, value_name = "N")]
    pub(super) burst: Option<u32>,
    /// Messages kept per room for members that reconnect [default: 1000]
    #[arg(long, value_name = "N")]
    pub(super) kept_messages: Option<usize>,
    /// Maximum number of rooms, up to 65535 [default: 10000]
    ///
    /// A new room beyond it replaces the room that has been empty longest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) max_rooms: Option<u16>,
    /// Maximum number of connections from one address; 0: no limit [default: 256, and no limit for
    /// loopback]
    #[arg(long, value_name = "N")]
    pub(super) max_per_address: Option<usize>,
    /// Accept datagrams from other machines, too
    ///
    /// The source address of a datagram can be forged. So a sender on another machine proves its
    /// address once, with a word that the server sends to it, before it receives what others send.
    /// A forged datagram has at most one short answer.
    #[arg(long)]
    pub(super) udp_public: bool,
    /// Use this terminal as the operator's console: it shows all messages and sends typed lines as
    /// 'operator'
    ///
    /// /help lists the commands: /kick NICK [REASON], /ban NICK|ADDR|CIDR [TIME] [REASON], /who,
    /// /stats, /quit and more. @NICK TEXT is a private message.
    #[arg(long)]
    pub(super) console: bool,
    /// Show a name in this colour on the console; may be repeated
    #[arg(long, alias = "color", value_name = "NAME=COLOUR")]
    pub(super) colour: Vec<NickColour>,
}
