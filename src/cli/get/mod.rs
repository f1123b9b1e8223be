//! `get`: fetches a file over HTTP.

use std::process::ExitCode;

use super::args::Verbosity;
use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// What to fetch, as in `http://127.0.0.1:8000/index.html`
    url: String,
}

pub(super) fn get(typed: GetArgs, _verbosity: Verbosity) -> Result<ExitCode, Failure> {
    Err(Failure::Failed(format!("cannot fetch {}: not there yet", typed.url)))
}
