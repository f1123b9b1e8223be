//! Echo on the command line.

use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{Framing, Service};

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, accept_any};
use super::classic::say_hello;
use crate::cli::error::CliError;

pub(super) const ECHO: BuiltinService = BuiltinService {
    name: "echo",
    about: "returns each payload, framed the same way; a datagram comes back to its sender",
    default_listen: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
    framing: |_| Framing::U32BE,
    is_default: true,
    datagrams: true,
    headings: &["Echo"],
    check: accept_any,
    make,
    example: |_, endpoint, framing| Some(say_hello("echo", Framing::U32BE, endpoint, framing)),
};

#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn make(args: &ServiceArgs) -> Result<Box<dyn Service + Send>, CliError> {
    Ok(match args.echo.work_us {
        None | Some(0) => Box::new(Echo),
        Some(micros) => Box::new(Echo::with_work(Duration::from_micros(micros.into()))),
    })
}
