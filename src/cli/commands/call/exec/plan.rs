//! The checked arguments of `call exec`.

use std::time::Duration;

use switchboard::client::exec::{ExecDialect, request};
use switchboard::{Framing, TextEncoding};

use super::args::CallExecArgs;
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::commands::call::timeout::nonzero_timeout;
use crate::cli::error::CliError;
use crate::cli::token_file;
use crate::cli::units::HumanDuration;

/// Bytes that fit into one packet, so that one read returns them: IPv6 carries packets of 1,280
/// bytes without fragmentation (RFC 8200, section 5).
const PACKET_BYTES: usize = 1200;

/// The default time limit of a response. It is longer than the default limit of a command on the
/// server.
const DEFAULT_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(30));

/// One request, its server, and the format of the output.
pub(super) struct CallExecPlan {
    pub(super) server: ServerAddress,
    pub(super) dialect: ExecDialect,
    pub(super) framing: Framing,
    pub(super) encoding: TextEncoding,
    pub(super) request: Vec<u8>,
    pub(super) timeout: Duration,
    pub(super) json: bool,
}

impl CallExecPlan {
    pub(super) fn new(args: CallExecArgs) -> Result<Self, CliError> {
        let CallExecArgs { address, dialect, framing, encoding, token_file, timeout, json, command } = args;
        let timeout = nonzero_timeout(timeout.unwrap_or(DEFAULT_TIMEOUT))?;
        let server = ServerAddress::resolve_stream("exec --allow PROGRAM", &address, timeout)?;
        let token = token_file.as_deref().map(token_file::read).transpose()?;
        let request =
            request(&command, token.as_deref(), encoding).map_err(|error| CliError::Usage(error.to_string()))?;
        if framing.is_none() && request.len() > PACKET_BYTES && !server.is_local() {
            let text = format!(
                "a command of {} bytes may arrive in pieces, and the server would run each piece: use --framing u32be on both \
                 sides, or --framing raw if the server has only that",
                request.len()
            );
            return Err(CliError::Usage(text));
        }
        let framing = framing.unwrap_or(Framing::Raw);
        Ok(Self { server, dialect, framing, encoding, request, timeout, json })
    }
}
