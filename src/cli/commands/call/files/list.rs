//! `call files list`: requests a listing and prints it.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use indicatif::BinaryBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use switchboard::client::files::{self, DownloadError};
use switchboard::escape;
use switchboard::services::Clock;
use switchboard::services::files::wire::Listing;

use super::connection::FilesConnection;
use super::error::CallFilesError;
use super::plan::CallFilesPlan;
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;
use crate::cli::report::document::ReportTable;
use crate::cli::report::text;
use crate::cli::terminal::{sanitize, stderr, stdout};

pub(super) fn list(plan: &CallFilesPlan, directory: String, json: bool) -> Result<ExitCode, CliError> {
    let task = format!("cannot list the files of {}", plan.server.typed());
    let mut connection = FilesConnection::connect(plan)?;
    let interrupt = Interrupt::watch()?;
    let reply = match request_list(&mut connection, plan, directory, &interrupt) {
        Ok(reply) => reply,
        Err(error) => return error.into_exit_code(&task, Some(&interrupt)),
    };
    let listing = match files::parse_listing(&reply) {
        Ok(listing) => listing,
        Err(error) => return CallFilesError::from(error).of_first_reply().into_exit_code(&task, None),
    };
    if json {
        // A pipe gets the reply unchanged; on a terminal, control characters are escaped.
        let text = String::from_utf8_lossy(&reply);
        let text = if io::stdout().is_terminal() { sanitize::json(&text).into() } else { text };
        stdout::print(&format!("{text}\n"))?;
    } else {
        stdout::print(&format_table(&listing))?;
    }
    if listing.truncated && !json {
        stderr::print_line("switchboard: the list is incomplete; list one directory at a time");
    }
    Ok(ExitCode::SUCCESS)
}

fn request_list(
    connection: &mut FilesConnection<'_>,
    plan: &CallFilesPlan,
    directory: String,
    interrupt: &Interrupt,
) -> Result<Vec<u8>, CallFilesError> {
    connection.send(&files::list_request(directory))?;
    match connection.next_frame(plan.first_timeout(), interrupt).map_err(CallFilesError::of_first_reply)? {
        Some(reply) => Ok(reply),
        None => Err(CallFilesError::from(DownloadError::NoReply).of_first_reply()),
    }
}

/// Formats a listing as a table with one line per file; control characters in names are escaped.
fn format_table(listing: &Listing) -> String {
    if listing.files.is_empty() {
        return "no files\n".to_owned();
    }
    let rows = listing.files.iter().map(|file| {
        let modified = file.modified.as_deref().map(format_local_time).unwrap_or_default();
        vec![escape::line(&file.name).into_owned(), BinaryBytes(file.size).to_string(), modified]
    });
    text::figures(&[ReportTable::new(&["name", "size", "modified"], rows.collect())]) + "\n"
}

/// Converts an RFC 3339 time to the local time zone. Returns other text escaped.
fn format_local_time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime(Clock::FORMAT).to_string(),
        Err(_) => escape::line(text).into_owned(),
    }
}
