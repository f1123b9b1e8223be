//! Echo on the command line.

use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{Framing, Service};

use super::classic::say_hello;
use super::{Builtin, Wishes};
use crate::cli::failure::Failure;

pub(super) const ECHO: Builtin = Builtin {
    name: "echo",
    about: "returns each payload, framed the same way; a datagram comes back to its sender",
    listens: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
    framing: |_| Framing::U32BE,
    by_itself: true,
    datagrams: true,
    headings: &["Echo"],
    check: super::anything,
    make,
    tries: |_, endpoint, framing| Some(say_hello("echo", Framing::U32BE, endpoint, framing)),
};

/// Flags for echo alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Echo")]
pub(super) struct EchoArgs {
    /// Microseconds of processor time to spend on each message before it is answered [default: 0]
    ///
    /// It stands for real work in measurements.
    #[arg(long, value_name = "N")]
    work_us: Option<u32>,
}

#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn make(wishes: &Wishes) -> Result<Box<dyn Service + Send>, Failure> {
    Ok(match wishes.echo.work_us {
        None | Some(0) => Box::new(Echo),
        Some(micros) => Box::new(Echo::with_work(Duration::from_micros(micros.into()))),
    })
}
