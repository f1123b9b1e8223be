//! `call exec`: runs a command on a server and prints its output.

mod args;
mod client;
mod output;
mod plan;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use switchboard::client::exec::ResponseHeader;

use crate::cli::commands::call::text::MAX_EXCERPT_CHARS;
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::terminal::{sanitize, stdout};
use crate::cli::verbosity::Verbosity;

pub(in crate::cli) use args::CallExecArgs;
use plan::CallExecPlan;

pub(super) fn call(args: CallExecArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    logging::start(verbosity.level());
    let plan = CallExecPlan::new(args)?;
    let response = client::run(&plan)?;
    let command_error = response.header.as_ref().and_then(command_error);
    response.header.iter().for_each(|header| log_absent_fields(&plan, header));
    if plan.json {
        stdout::print_json(&output::to_json(&response, plan.encoding))?;
    } else {
        let text = output::to_utf8(&response, plan.encoding);
        if io::stdout().is_terminal() {
            stdout::print(&output::escape_for_terminal(&text))?;
        } else {
            stdout::print_bytes(&text)?;
        }
    }
    match command_error {
        Some(what) => Err(CliError::Failed(what)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Logs what is not known of the command, because the header lacks a field.
fn log_absent_fields(plan: &CallExecPlan, header: &ResponseHeader) {
    let server = plan.server.typed();
    match &header.md5 {
        _ if header.is_verified => {}
        Some(md5) => log::debug!(
            "{server}: output not verified: the header's md5 is not a checksum: '{}'",
            sanitize::excerpt(md5, MAX_EXCERPT_CHARS)
        ),
        None => log::debug!("{server}: output not verified: the header has no md5"),
    }
    if header.exit_code.is_none() {
        log::debug!("{server}: the header has no exit_code: the command may have failed");
    }
}

/// Returns the reason why the command failed, if the header has one.
fn command_error(header: &ResponseHeader) -> Option<String> {
    let truncated = if header.truncated { "; its output was truncated" } else { "" };
    match header.exit_code {
        Some(Some(0)) | None if header.truncated => Some("the command's output was truncated".to_owned()),
        Some(Some(0)) | None => None,
        Some(Some(code)) => Some(format!("the command exited with code {code}{truncated}")),
        Some(None) => Some(format!("the command did not start, or was killed{truncated}")),
    }
}
