//! `call echo`, `upper`, `greet`, `robot` and `parrot`: sends lines and prints the replies. The two
//! clients, for streams and for datagrams, also serve `call clock`.

mod args;
mod datagram_text_client;
mod input;
mod output;
mod repl;
mod reply;
mod reply_rules;
mod service;
mod stream_text_client;
mod text_client;

use std::process::ExitCode;
use std::time::Duration;

use switchboard::Framing;

use super::server_address::ServerAddress;
use super::timeout::nonzero_timeout;
use crate::cli::error::CliError;
use crate::cli::verbosity::Verbosity;
use crate::cli::{logging, terminal};

pub(in crate::cli) use args::CallTextArgs;
pub(super) use datagram_text_client::{connect_socket, receive_datagram, request_error};
use input::LineInput;
pub(super) use output::{MAX_EXCERPT_CHARS, ReplyFormat, ReplyPrinter};
use repl::Repl;
pub(super) use reply::{DecodedText, TextReply};
pub(super) use reply_rules::ReplyRules;
pub(super) use service::TextService;
pub(super) use stream_text_client::{UnsolicitedRead, deadline, greeting_wait};
pub(super) use text_client::TextClient;

pub(super) fn call(service: TextService, args: CallTextArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let timeout = nonzero_timeout(args.timeout)?;
    let address = args.address.unwrap_or_else(|| service.default_address(args.udp).to_owned());
    let server = ServerAddress::resolve(service.name(), &address, args.udp, timeout)?;
    if server.is_udp()
        && let Some(framing) = args.framing
    {
        return Err(CliError::Usage(format!("--framing {framing} is for streams: each datagram is one message")));
    }
    let default_framing = if service == TextService::Echo { Framing::U32BE } else { Framing::Raw };
    let rules = ReplyRules {
        framing: args.framing.unwrap_or(default_framing),
        reply_end: service.reply_end(),
        closes_after_reply: service == TextService::Greet,
        end_silence: Duration::ZERO,
    };
    let client = TextClient::open(server, rules, service.may_be_reply(), args.encoding, timeout)?;
    let is_interactive = terminal::is_interactive() && !args.json;
    if !is_interactive {
        // On a terminal, log lines would overwrite the line being edited.
        logging::start(verbosity.level());
    }
    let input = if is_interactive { LineInput::terminal(service.name())? } else { LineInput::pipe() };
    let format = if args.json { ReplyFormat::Json } else { ReplyFormat::Text };
    Repl::new(client, ReplyPrinter::new(format, args.encoding), service == TextService::Parrot).run(input)
}
