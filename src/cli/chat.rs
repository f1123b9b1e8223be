//! What can be said about chat on the command line, and what it means.

use std::io::IsTerminal;

use encoding_rs::Encoding;
use switchboard::services::chat::Rules;
use switchboard::services::chat::colour::{Palette, Pin};

use super::failure::Failure;

/// Flags for chat alone. None has a default here, so that it is known which were given.
#[derive(Debug, Default, clap::Args)]
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
    /// How text is encoded on lines, raw and UDP, as in gbk [default: utf-8]
    ///
    /// A label of the WHATWG's encoding standard. JSON is UTF-8 always.
    #[arg(long, value_name = "LABEL", value_parser = encoding)]
    encoding: Option<&'static Encoding>,
    /// Make this terminal the operator's: it shows what is said, and what is typed is said as 'operator'
    ///
    /// /help lists the commands: /kick NICK, /ban ADDR, /rooms, /who, /stats, /quit and more. @NICK TEXT is said to one person.
    #[arg(long)]
    console: bool,
    /// Show one name in this colour on the console; may be repeated
    #[arg(long, alias = "color", value_name = "NAME=COLOUR", requires = "console")]
    colour: Vec<Pin>,
}

/// What chat is to be like.
#[derive(Debug, Default)]
pub(super) struct ChatPlan {
    pub(super) rules: Rules,
    /// Whether the terminal is the operator's.
    pub(super) console: bool,
    pins: Vec<Pin>,
}

impl ChatPlan {
    /// The colours of the operator's terminal, if it has any.
    pub(super) fn palette(&self) -> Palette {
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        Palette::new(coloured, self.pins.clone())
    }
}

impl ChatArgs {
    /// What was given means nothing to other services.
    pub(super) fn check_served(&self, names: &[&str]) -> Result<(), Failure> {
        let given = [
            ("--messages-per-second", self.messages_per_second.is_some()),
            ("--burst", self.burst.is_some()),
            ("--kept-messages", self.kept_messages.is_some()),
            ("--max-rooms", self.max_rooms.is_some()),
            ("--max-per-address", self.max_per_address.is_some()),
            ("--udp-public", self.udp_public),
            ("--encoding", self.encoding.is_some()),
            ("--console", self.console),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) if !names.contains(&"chat") => {
                let served = names.join(" and ");
                Err(Failure::Usage(format!("{flag} is for chat alone, and {served} would be served")))
            }
            _ => Ok(()),
        }
    }
}

impl From<ChatArgs> for ChatPlan {
    fn from(typed: ChatArgs) -> Self {
        let standard = Rules::default();
        let rules = Rules {
            messages_per_second: typed.messages_per_second.unwrap_or(standard.messages_per_second),
            burst: typed.burst.unwrap_or(standard.burst),
            max_kept_messages: typed.kept_messages.unwrap_or(standard.max_kept_messages),
            max_rooms: typed.max_rooms.map_or(standard.max_rooms, Into::into),
            max_per_address: typed.max_per_address.or(standard.max_per_address),
            udp_public: typed.udp_public,
            encoding: typed.encoding.unwrap_or(standard.encoding),
            server: format!("{:016x}", fastrand::u64(..)),
            ..standard
        };
        Self { rules, console: typed.console, pins: typed.colour }
    }
}

/// An encoding in which a line feed is a line feed, whatever else is a character.
fn encoding(label: &str) -> Result<&'static Encoding, String> {
    let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        "no such encoding: write a label of the WHATWG's standard, like utf-8, gbk or latin1".to_owned()
    })?;
    if encoding.is_ascii_compatible() && encoding.output_encoding() == encoding {
        Ok(encoding)
    } else {
        Err(format!("{} does not leave ASCII as it is, so lines cannot be found in it", encoding.name()))
    }
}
