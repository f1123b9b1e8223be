//! The arguments of `call exec`.

use std::path::PathBuf;

use switchboard::client::exec::ExecDialect;
use switchboard::{Framing, TextEncoding};

use crate::cli::named_value::one_of;
use crate::cli::units::HumanDuration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("exec.txt"))]
pub(in crate::cli) struct CallExecArgs {
    /// The server's address
    ///
    /// host:port, [v6]:port or unix:PATH.
    #[arg(value_name = "ADDR")]
    pub(super) address: String,
    /// The protocol of the server
    #[arg(long, value_name = "NAME", default_value_t, value_parser = one_of(ExecDialect::NAMES))]
    pub(super) dialect: ExecDialect,
    /// The framing of requests and responses; it must match the server's [default: raw]
    ///
    /// Under raw, each read of the server is one request. A request longer than a packet may arrive
    /// in pieces, and the server would run each piece. To another machine such a request is sent
    /// only with an explicit --framing raw.
    #[arg(long, value_name = "NAME")]
    pub(super) framing: Option<Framing>,
    /// The encoding of the command and of its output, such as gbk
    ///
    /// A label of the WHATWG Encoding Standard. With another encoding than UTF-8 the output is
    /// converted to UTF-8.
    #[arg(long, value_name = "LABEL", default_value_t = TextEncoding::UTF_8)]
    pub(super) encoding: TextEncoding,
    /// A file with the token that the server requires; only its owner may have access to it
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Time limit for the complete response [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub(super) timeout: Option<HumanDuration>,
    /// Print one JSON object: the header, and the output as text, or in hexadecimal if it is not
    /// valid in --encoding
    #[arg(long)]
    pub(super) json: bool,
    /// The command: a program and its arguments, after --
    ///
    /// The program receives several words unchanged. The server splits a single word into words: --
    /// 'ls -l /tmp'.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(super) command: Vec<String>,
}
