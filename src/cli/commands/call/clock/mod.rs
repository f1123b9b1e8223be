//! `call clock`: requests the time from one clock, once or repeatedly, or from all clocks on a
//! network.

mod args;
mod broadcast;
mod client;
mod schedule;

use std::process::ExitCode;
use std::time::Duration;

use switchboard::Framing;
use switchboard::client::text::ReplyEnd;

use super::server_address::ServerAddress;
use super::text::{ReplyFormat, ReplyPrinter, ReplyRules, TextClient};
use super::timeout::{DEFAULT_TIMEOUT, nonzero_timeout};
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::units::HumanDuration;
use crate::cli::verbosity::Verbosity;

pub(in crate::cli) use args::CallClockArgs;
use args::split_address_and_format;
use client::ClockClient;

/// The default time for all replies to a broadcast.
const BROADCAST_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(1));

/// Interval if `--count` is given without `--every`.
const DEFAULT_INTERVAL: HumanDuration = HumanDuration(Duration::from_secs(1));

/// Silence after which a reply on a stream is complete. A reply that arrives in two reads would
/// otherwise be printed as two.
const REPLY_END_SILENCE: Duration = Duration::from_millis(20);

pub(super) fn call(args: CallClockArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    logging::start(verbosity.level());
    let (address, format) = split_address_and_format(args.address, args.format)?;
    let encoding = args.encoding;
    encoding.encode(&format).map_err(|error| CliError::Usage(format!("cannot send the format: {error}")))?;
    let printer = ReplyPrinter::new(ReplyFormat::Text, encoding);
    if args.broadcast {
        let timeout = nonzero_timeout(args.timeout.unwrap_or(BROADCAST_TIMEOUT))?;
        let address = address.unwrap_or_else(|| "255.255.255.255:9090".to_owned());
        let server = ServerAddress::resolve_any("clock", &address, true, timeout)?;
        return broadcast::run(&server, &format, encoding, timeout, printer);
    }
    let timeout = nonzero_timeout(args.timeout.unwrap_or(DEFAULT_TIMEOUT))?;
    let address = address.unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    let server = ServerAddress::resolve("clock", &address, args.udp, timeout)?;
    let HumanDuration(interval) = args.every.unwrap_or(DEFAULT_INTERVAL);
    if interval.is_zero() {
        return Err(CliError::Usage("invalid --every 0: the interval must be positive; use for example 1s".to_owned()));
    }
    let count = args.count.or_else(|| args.every.is_none().then_some(1));
    let rules = ReplyRules {
        framing: Framing::Raw,
        reply_end: ReplyEnd::SingleRead,
        closes_after_reply: false,
        end_silence: REPLY_END_SILENCE,
    };
    let client = TextClient::open(server, rules, |_, _| true, encoding, timeout)?;
    ClockClient::new(format, interval, count, printer).run(client)
}
