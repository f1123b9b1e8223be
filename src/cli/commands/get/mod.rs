//! `get`: fetches a file over HTTP. The library's `client::http` implements the protocol.

mod args;
mod download;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::client::http::{FetchError, FetchedResponse, HttpUrl, TimeoutKind, fetch};

use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::process::Interrupt;
use crate::cli::terminal::{sanitize, stdout};
use crate::cli::transfer::{OutputError, OutputFile};
use crate::cli::verbosity::Verbosity;
pub(in crate::cli) use args::GetArgs;
use download::HttpDownload;

pub(in crate::cli) fn get(args: GetArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let url = HttpUrl::parse(&args.url).map_err(|error| CliError::Usage(error.to_string()))?;
    let path = output_path(&args, &url)?;
    logging::start(verbosity.level());
    let interrupt = Interrupt::watch()?;
    let mut download = HttpDownload {
        output: open_output(path.as_deref())?,
        interrupt: &interrupt,
        progress: None,
        include_head: args.include,
        is_quiet: verbosity.is_quiet(),
    };
    let started = Instant::now();
    let fetched = fetch(&url, &args.limits.fetch_options(args.headers), &mut download, interrupt.cancel_token());
    let is_stream = download.output.path().is_none();
    // After this, the progress bar is cleared and an incomplete file is deleted.
    let result = fetched.and_then(|fetched| download.finish().map(|()| fetched).map_err(FetchError::Sink));
    match result {
        Ok(fetched) => {
            if args.json {
                stdout::print_json(&to_json(&fetched, path.as_deref(), started.elapsed()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(FetchError::Cancelled) => Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE)),
        Err(FetchError::Sink(error)) if is_stream && path.is_none() => {
            stdout::is_closed(Err(error)).map(|_| ExitCode::SUCCESS)
        }
        Err(FetchError::Sink(error)) if let Some(path) = &path => {
            Err(write_error(OutputError { path: path.clone(), error }))
        }
        Err(error) => {
            let advice = flag_to_raise(&error).map(|flag| format!("; raise {flag}")).unwrap_or_default();
            Err(CliError::Failed(format!("cannot fetch {url}: {error}{advice}")))
        }
    }
}

/// Returns the flag that sets the exceeded limit, if the error is one.
fn flag_to_raise(error: &FetchError) -> Option<&'static str> {
    match error {
        FetchError::Timeout { kind: TimeoutKind::Resolve, .. } => Some("--connect-timeout"),
        FetchError::Timeout { kind: TimeoutKind::Stall, .. } => Some("--stall-timeout"),
        FetchError::Timeout { kind: TimeoutKind::Total, .. } => Some("--timeout"),
        FetchError::TooManyRedirects(_) => Some("--max-redirects"),
        FetchError::TooLarge { .. } => Some("--max-bytes"),
        _ => None,
    }
}

/// Returns the path for the body; `None` for standard output.
fn output_path(args: &GetArgs, url: &HttpUrl) -> Result<Option<PathBuf>, CliError> {
    let path = match &args.output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.clone()),
        None if args.remote_name => {
            let no_name = || CliError::Usage(format!("-O: the path of {url} has no file name; use -o FILE"));
            Some(url.file_name().ok_or_else(no_name)?.into())
        }
        None => None,
    };
    if args.json && path.is_none() {
        let what = "--json writes to standard output, so the body must go to a file: add -o FILE";
        return Err(CliError::Usage(what.to_owned()));
    }
    Ok(path)
}

fn open_output(path: Option<&Path>) -> Result<OutputFile, CliError> {
    let Some(path) = path else {
        let failed = |error| CliError::Failed(format!("cannot write to standard output: {error}"));
        return OutputFile::stdout().map_err(failed);
    };
    OutputFile::temporary(path).map_err(write_error)
}

fn write_error(OutputError { path, error }: OutputError) -> CliError {
    CliError::Failed(format!("cannot write to {}: {error}", sanitize::file_name(path)))
}

/// Returns the result of a fetch as a JSON object.
fn to_json(fetched: &FetchedResponse, path: Option<&Path>, elapsed: Duration) -> Value {
    let FetchedResponse { url, head, received_bytes } = fetched;
    let fields = head.fields().map(|(name, value)| json!({"name": name, "value": String::from_utf8_lossy(value)}));
    json!({
        "url": url.to_string(),
        "status": head.status(),
        "reason": head.reason(),
        "headers": fields.collect::<Vec<_>>(),
        "bytes": received_bytes,
        "file": path.map(|path| path.to_string_lossy()),
        "seconds": elapsed.as_secs_f64(),
    })
}
