//! `call files`: what its words mean, and what it does.

use std::process::ExitCode;

use crate::cli::args::Verbosity;
use crate::cli::failure::Failure;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FilesArgs {
    /// Where the server is
    #[arg(value_name = "ADDR")]
    address: String,
}

pub(super) fn call(typed: FilesArgs, _verbosity: Verbosity) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(format!("cannot call {}: not there yet", typed.address)))
}
