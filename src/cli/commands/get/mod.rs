//! `get`: fetches a file over HTTP. What was typed is in [`args`], where the bytes go in [`landing`]; what HTTP is, the library
//! knows.

mod args;
mod landing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use switchboard::client::http::{CancelToken, FetchError, FetchedResponse, HttpUrl, TimeoutKind, fetch};

use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::terminal::{sanitize, stdout};
use crate::cli::transfer::{self, Interrupt, Obstacle};
use crate::cli::verbosity::Verbosity;
pub(in crate::cli) use args::GetArgs;
use landing::Landing;

pub(in crate::cli) fn get(typed: GetArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let target = HttpUrl::parse(&typed.url).map_err(|error| CliError::Usage(error.to_string()))?;
    let file = file(&typed, &target)?;
    logging::start(verbosity.level());
    let interrupt = Interrupt::watch()?;
    let mut landing = Landing {
        place: place(file.as_deref())?,
        interrupt: &interrupt,
        progress: None,
        include: typed.include,
        quiet: verbosity.is_quiet(),
    };
    let begun = Instant::now();
    let fetched = fetch(&target, &typed.limits.plan(typed.headers), &mut landing, stop(&interrupt));
    let is_stream = landing.place.place().is_none();
    // Whatever is said now is said without a bar, and a file that did not become whole is gone by then.
    let landed = fetched.and_then(|fetched| landing.finish().map(|()| fetched).map_err(FetchError::Sink));
    match landed {
        Ok(fetched) => {
            if typed.json {
                stdout::print(&in_json(&fetched, file.as_deref(), begun.elapsed()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(FetchError::Canceled) => Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE)),
        Err(FetchError::Sink(error)) if is_stream && file.is_none() => {
            stdout::ignore_closed_pipe(Err(error)).map(|()| ExitCode::SUCCESS)
        }
        Err(FetchError::Sink(error)) if let Some(file) = &file => {
            Err(cannot_write(Obstacle { file: file.clone(), error }))
        }
        Err(error) => {
            let more = allows_more(&error).map(|flag| format!("; {flag} allows more")).unwrap_or_default();
            Err(CliError::Failed(format!("cannot fetch {target}: {error}{more}")))
        }
    }
}

/// The flag that sets the bound which was met.
fn allows_more(error: &FetchError) -> Option<&'static str> {
    match error {
        FetchError::Timeout { kind: TimeoutKind::Resolve, .. } => Some("--connect-timeout"),
        FetchError::Timeout { kind: TimeoutKind::Stall, .. } => Some("--stall-timeout"),
        FetchError::Timeout { kind: TimeoutKind::Total, .. } => Some("--timeout"),
        FetchError::TooManyRedirects(_) => Some("--max-redirects"),
        FetchError::TooLarge { .. } => Some("--max-bytes"),
        _ => None,
    }
}

/// The file that the body goes to; none, if to standard output.
fn file(typed: &GetArgs, target: &HttpUrl) -> Result<Option<PathBuf>, CliError> {
    let file = match &typed.output {
        Some(file) if file.as_os_str() == "-" => None,
        Some(file) => Some(file.clone()),
        None if typed.remote_name => {
            let nameless = || CliError::Usage(format!("the path of {target} ends without a file's name: say -o FILE"));
            Some(target.file_name().ok_or_else(nameless)?.into())
        }
        None => None,
    };
    if typed.json && file.is_none() {
        let what = "--json takes standard output, so the body needs another place: add -o FILE";
        return Err(CliError::Usage(what.to_owned()));
    }
    Ok(file)
}

fn place(file: Option<&Path>) -> Result<transfer::Target, CliError> {
    let Some(file) = file else {
        let closed = |error| CliError::Failed(format!("cannot write to standard output: {error}"));
        return transfer::Target::stdout().map_err(closed);
    };
    transfer::Target::fleeting(file).map_err(cannot_write)
}

fn cannot_write(Obstacle { file, error }: Obstacle) -> CliError {
    CliError::Failed(format!("cannot write to {}: {error}", sanitize::file_name(file)))
}

#[cfg(unix)]
fn stop(interrupt: &Interrupt) -> CancelToken<'_> {
    CancelToken::when_readable(std::os::fd::AsFd::as_fd(interrupt))
}

#[cfg(not(unix))]
fn stop(_interrupt: &Interrupt) -> CancelToken<'_> {
    CancelToken::never()
}

/// What came, for programs; a line.
fn in_json(fetched: &FetchedResponse, file: Option<&Path>, took: Duration) -> String {
    let FetchedResponse { url: target, head, received_bytes: received } = fetched;
    let fields = head.fields().map(|(name, value)| json!({"name": name, "value": String::from_utf8_lossy(value)}));
    let object = json!({
        "url": target.to_string(),
        "status": head.status(),
        "reason": head.reason(),
        "headers": fields.collect::<Vec<_>>(),
        "bytes": received,
        "file": file.map(|file| file.to_string_lossy()),
        "seconds": took.as_secs_f64(),
    });
    format!("{object}\n")
}
