//! `get`: fetches a file over HTTP. What was typed is in [`args`], where the bytes go in [`download`]; what HTTP is, the library
//! knows.

mod args;
mod download;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use switchboard::client::http::{FetchError, Fetched, Stop, Target, TimeLimit, fetch};

use crate::cli::args::Verbosity;
use crate::cli::failure::Failure;
use crate::cli::transfer::{self, Interrupt, Obstacle};
use crate::cli::{logging, output, screen};
pub(in crate::cli) use args::GetArgs;
use download::Landing;

pub(in crate::cli) fn get(typed: GetArgs, verbosity: Verbosity) -> Result<ExitCode, Failure> {
    let target = Target::parse(&typed.url).map_err(|error| Failure::Usage(error.to_string()))?;
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
                output::print(&in_json(&fetched, file.as_deref(), begun.elapsed()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(FetchError::Stopped) => Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE)),
        Err(FetchError::Sink(error)) if is_stream && file.is_none() => {
            output::unless_nobody_reads(Err(error)).map(|()| ExitCode::SUCCESS)
        }
        Err(FetchError::Sink(error)) if let Some(file) = &file => {
            Err(cannot_write(Obstacle { file: file.clone(), error }))
        }
        Err(error) => {
            let more = allows_more(&error).map(|flag| format!("; {flag} allows more")).unwrap_or_default();
            Err(Failure::Failed(format!("cannot fetch {target}: {error}{more}")))
        }
    }
}

/// The flag that sets the bound which was met.
fn allows_more(error: &FetchError) -> Option<&'static str> {
    match error {
        FetchError::TimeLimit { limit: TimeLimit::Resolve, .. } => Some("--connect-timeout"),
        FetchError::TimeLimit { limit: TimeLimit::Stall, .. } => Some("--stall-timeout"),
        FetchError::TimeLimit { limit: TimeLimit::Whole, .. } => Some("--timeout"),
        FetchError::TooManyRedirects(_) => Some("--max-redirects"),
        FetchError::TooLarge { .. } => Some("--max-bytes"),
        _ => None,
    }
}

/// The file that the body goes to; none, if to standard output.
fn file(typed: &GetArgs, target: &Target) -> Result<Option<PathBuf>, Failure> {
    let file = match &typed.output {
        Some(file) if file.as_os_str() == "-" => None,
        Some(file) => Some(file.clone()),
        None if typed.remote_name => {
            let nameless = || Failure::Usage(format!("the path of {target} ends without a file's name: say -o FILE"));
            Some(target.file_name().ok_or_else(nameless)?.into())
        }
        None => None,
    };
    if typed.json && file.is_none() {
        let what = "--json takes standard output, so the body needs another place: add -o FILE";
        return Err(Failure::Usage(what.to_owned()));
    }
    Ok(file)
}

fn place(file: Option<&Path>) -> Result<transfer::Target, Failure> {
    let Some(file) = file else {
        let closed = |error| Failure::Failed(format!("cannot write to standard output: {error}"));
        return transfer::Target::stdout().map_err(closed);
    };
    transfer::Target::fleeting(file).map_err(cannot_write)
}

fn cannot_write(Obstacle { file, error }: Obstacle) -> Failure {
    Failure::Failed(format!("cannot write to {}: {error}", screen::name(file)))
}

#[cfg(unix)]
fn stop(interrupt: &Interrupt) -> Stop<'_> {
    Stop::when_readable(std::os::fd::AsFd::as_fd(interrupt))
}

#[cfg(not(unix))]
fn stop(_interrupt: &Interrupt) -> Stop<'_> {
    Stop::never()
}

/// What came, for programs; a line.
fn in_json(fetched: &Fetched, file: Option<&Path>, took: Duration) -> String {
    let Fetched { target, head, received } = fetched;
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
