//! The arguments of `call echo`, `upper`, `greet`, `robot` and `parrot`.

use switchboard::{Framing, TextEncoding};

use crate::cli::commands::call::timeout::DEFAULT_TIMEOUT;
use crate::cli::units::HumanDuration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("text.txt"))]
pub(in crate::cli) struct CallTextArgs {
    /// The server's address [default: the one that 'serve' uses, see Addresses below]
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. Over TCP all addresses of a name are tried
    /// in turn.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,
    /// The framing of the stream [default: u32be for echo, raw for the others]
    ///
    /// The framings are those of 'serve': raw, lines, u32be and so on. Datagrams need none.
    #[arg(long, value_name = "NAME")]
    pub(super) framing: Option<Framing>,
    /// The encoding of the server's text, such as gbk
    ///
    /// A label of the WHATWG Encoding Standard. Standard input and output are always UTF-8.
    #[arg(long, value_name = "LABEL", default_value_t = TextEncoding::UTF_8)]
    pub(super) encoding: TextEncoding,
    /// Use UDP: the same as udp: before ADDR
    #[arg(long)]
    pub(super) udp: bool,
    /// Time limit for connecting, and for each reply
    #[arg(long, value_name = "TIME", default_value_t = DEFAULT_TIMEOUT)]
    pub(super) timeout: HumanDuration,
    /// Print one JSON object a line: {"sent":…,"answer":…}; the answer is null if no reply arrived
    #[arg(long)]
    pub(super) json: bool,
}
