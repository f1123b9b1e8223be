//! The checked arguments of `call files` that every subcommand shares.

use std::time::Duration;

use switchboard::services::files::FilesDialect;
use switchboard::{Framing, TextEncoding};

use super::args::CallFilesArgs;
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::commands::call::timeout::CONNECT_TIMEOUT;
use crate::cli::error::CliError;

/// The server, its framing and the time limits.
pub(super) struct CallFilesPlan {
    pub(super) server: ServerAddress,
    pub(super) framing: Framing,
    /// The encoding of the name under plain.
    pub(super) encoding: TextEncoding,
    pub(super) timeout: Option<Duration>,
    /// The time limit for connecting.
    pub(super) connect_timeout: Duration,
}

impl CallFilesPlan {
    pub(super) fn new(args: &CallFilesArgs, dialect: FilesDialect) -> Result<Self, CliError> {
        let framing =
            args.framing.unwrap_or(if dialect == FilesDialect::Plain { Framing::Raw } else { Framing::U32BE });
        if !(dialect.supports(framing) || (dialect == FilesDialect::Plain && framing == Framing::Lines)) {
            return Err(CliError::Usage(match dialect {
                FilesDialect::Framed => format!("--framing {framing} cannot carry frames of 1 MiB: use u32be"),
                FilesDialect::Plain => format!("--framing {framing} does not suit the dialect plain: use raw or lines"),
            }));
        }
        let encoding = args.encoding.unwrap_or_default();
        if dialect == FilesDialect::Framed && encoding != TextEncoding::UTF_8 {
            let label = encoding.name().to_lowercase();
            return Err(CliError::Usage(format!(
                "the dialect framed is always UTF-8: --encoding {label} is for --dialect plain"
            )));
        }
        let timeout = Some(args.timeout.0).filter(|timeout| !timeout.is_zero());
        let connect_timeout = timeout.map_or(CONNECT_TIMEOUT, |timeout| timeout.min(CONNECT_TIMEOUT));
        let server = ServerAddress::resolve_stream("files --root DIR", &args.address, connect_timeout)?;
        Ok(Self { server, framing, encoding, timeout, connect_timeout })
    }

    /// Returns the time limit for the start of a reply.
    pub(super) fn first_timeout(&self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.saturating_mul(10))
    }
}
