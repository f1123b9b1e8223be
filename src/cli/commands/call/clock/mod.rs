//! `call clock`: requests the time from one clock, once or repeatedly, or from all clocks on a
//! network.

mod args;
mod broadcast;
mod client;
mod schedule;

use std::process::ExitCode;
use std::time::Duration;

use switchboard::client::text::ReplyEnd;
use switchboard::{Framing, TextEncoding};

use super::server_address::ServerAddress;
use super::text::{
    DEFAULT_TIMEOUT, DatagramClient, LineClient, ReplyFormat, ReplyPrinter, ReplyRules, nonzero_timeout,
};
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::units::HumanDuration;
use crate::cli::verbosity::Verbosity;

pub(in crate::cli) use args::CallClockArgs;
use args::split_address_and_format;
use client::ClockClient;

/// The default time for all replies to a broadcast.
const BROADCAST_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(1));

/// The default interval between repeated requests.
const DEFAULT_INTERVAL: HumanDuration = HumanDuration(Duration::from_secs(1));

/// Silence after which a reply on a stream is complete. Without it, half a time could be printed.
const REPLY_QUIET: Duration = Duration::from_millis(20);

pub(super) fn call(args: CallClockArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    logging::start(verbosity.level());
    let (address, format) = split_address_and_format(args.address, args.format)?;
    let printer = ReplyPrinter::new(ReplyFormat::Text, TextEncoding::UTF_8);
    if args.broadcast {
        let limit = nonzero_timeout(args.timeout.unwrap_or(BROADCAST_TIMEOUT))?;
        let address = address.unwrap_or_else(|| "255.255.255.255:9090".to_owned());
        return broadcast::run(&ServerAddress::resolve_any("clock", &address, true)?, &format, limit, printer);
    }
    let limit = nonzero_timeout(args.timeout.unwrap_or(DEFAULT_TIMEOUT))?;
    let address = address.unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    let server = ServerAddress::resolve("clock", &address, args.udp)?;
    let HumanDuration(interval) = args.every.unwrap_or(DEFAULT_INTERVAL);
    if interval.is_zero() {
        return Err(CliError::Usage("--every 0 would never wait: use a longer time, such as 1s".to_owned()));
    }
    let count = args.count.or_else(|| args.every.is_none().then_some(1));
    let encoding = TextEncoding::UTF_8;
    let client = ClockClient::new(format, interval, count, printer);
    if server.is_udp() {
        client.run_udp(DatagramClient::open(server, encoding, limit, |_, _| true)?)
    } else {
        let rules = ReplyRules {
            framing: Framing::Raw,
            ends: ReplyEnd::SingleRead,
            closes_after_reply: false,
            quiet: REPLY_QUIET,
        };
        client.run_stream(LineClient::new(server, rules, encoding, limit))
    }
}
