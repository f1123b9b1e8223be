//! `call echo`, `upper`, `greet`, `robot` and `parrot`: lines there, answers back.

use std::process::ExitCode;

use crate::cli::args::Verbosity;
use crate::cli::failure::Failure;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TextArgs {
    /// Where the server is
    #[arg(value_name = "ADDR")]
    address: String,
}

pub(super) fn call(_kind: Kind, typed: TextArgs, _verbosity: Verbosity) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(format!("cannot call {}: not there yet", typed.address)))
}

/// Whom it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Echo,
    Upper,
    Greet,
    Robot,
    Parrot,
}
