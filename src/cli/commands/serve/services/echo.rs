//! The echo service on the command line.

use std::time::Duration;

use switchboard::Framing;
use switchboard::services::Echo;

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, MakeResult, accept_any};
use super::classic::hello_command;

pub(super) const ECHO: BuiltinService = BuiltinService {
    name: "echo",
    about: "Return each payload in the same framing, each datagram to its sender",
    default_listen: &["127.0.0.1:7000", "udp:127.0.0.1:7000"],
    framing: |_| Framing::U32BE,
    is_default: true,
    supports_udp: true,
    options: &["work-us"],
    refine: |arg| arg,
    help: include_str!("echo_help.txt"),
    check: accept_any,
    make,
    example: |_, endpoint, framing| Some(hello_command("echo", Framing::U32BE, endpoint, framing)),
};

#[expect(clippy::unnecessary_wraps, reason = "other services can fail")]
fn make(args: &ServiceArgs) -> MakeResult {
    Ok(match args.echo.work_us {
        None | Some(0) => (Echo.options("echo"), Box::new(Echo)),
        Some(micros) => {
            let echo = Echo::with_work(Duration::from_micros(micros.into()));
            (echo.options("echo"), Box::new(echo))
        }
    })
}
