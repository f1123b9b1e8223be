//! The echo service on the command line.

use std::time::Duration;

use switchboard::Framing;
use switchboard::services::Echo;

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, MadeService, accept_any};
use super::classic::hello_command;
use crate::cli::error::CliError;

pub(super) const ECHO: BuiltinService = BuiltinService {
    name: "echo",
    about: "returns each payload in the same framing, and each datagram to its sender",
    default_listen: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
    framing: |_| Framing::U32BE,
    is_default: true,
    supports_udp: true,
    headings: &["Echo"],
    check: accept_any,
    make,
    example: |_, endpoint, framing| Some(hello_command("echo", Framing::U32BE, endpoint, framing)),
};

#[expect(clippy::unnecessary_wraps, reason = "other services can fail")]
fn make(args: &ServiceArgs) -> Result<MadeService, CliError> {
    Ok(match args.echo.work_us {
        None | Some(0) => (Echo.options("echo"), Box::new(Echo)),
        Some(micros) => {
            let echo = Echo::with_work(Duration::from_micros(micros.into()));
            (echo.options("echo"), Box::new(echo))
        }
    })
}
