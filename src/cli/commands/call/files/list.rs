//! A listing, printed.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::Table;
use indicatif::BinaryBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use switchboard::client::files::{self, DownloadError};
use switchboard::escape;
use switchboard::services::Clock;
use switchboard::services::files::wire::Listing;

use super::link::Link;
use super::{Ended, Plan};
use crate::cli::error::CliError;
use crate::cli::report::text;
use crate::cli::terminal::stdout;
use crate::cli::transfer::Interrupt;

pub(super) fn list(plan: &Plan, directory: String, json: bool) -> Result<ExitCode, CliError> {
    let about = format!("cannot list what {} has", plan.server.typed());
    let mut link = Link::connect(plan)?;
    let interrupt = Interrupt::watch()?;
    let answer = match ask(&mut link, plan, directory, &interrupt) {
        Ok(answer) => answer,
        Err(ended) => return ended.code(&about, Some(&interrupt)),
    };
    let listing = match files::parse_listing(&answer) {
        Ok(listing) => listing,
        Err(trouble) => return Ended::from(trouble).at_first().code(&about, None),
    };
    if json {
        // Into a pipe it goes as it came; a terminal obeys nobody but its user.
        let text = String::from_utf8_lossy(&answer);
        let is_terminal = io::stdout().is_terminal();
        stdout::print(&format!("{}\n", if is_terminal { escape::line(&text) } else { text }))?;
    } else {
        stdout::print(&table(&listing))?;
    }
    if listing.truncated && !json {
        let _ = writeln!(io::stderr(), "switchboard: there is more; list one directory at a time");
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(link: &mut Link<'_>, plan: &Plan, directory: String, interrupt: &Interrupt) -> Result<Vec<u8>, Ended> {
    link.send(&files::list_request(directory))?;
    match link.frame(plan.first_timeout(), interrupt).map_err(Ended::at_first)? {
        Some(answer) => Ok(answer),
        None => Err(Ended::from(DownloadError::NoReply).at_first()),
    }
}

/// For people: a name is one line, whatever is in it.
fn table(listing: &Listing) -> String {
    if listing.files.is_empty() {
        return "no files\n".to_owned();
    }
    let mut table = Table::new();
    table.set_header(["name", "size", "modified"]);
    for file in &listing.files {
        let modified = file.modified.as_deref().map(when).unwrap_or_default();
        table.add_row([escape::line(&file.name).into_owned(), BinaryBytes(file.size).to_string(), modified]);
    }
    text::right_aligned_table(table) + "\n"
}

/// A time as it is here.
fn when(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime(Clock::FORMAT).to_string(),
        Err(_) => escape::line(text).into_owned(),
    }
}
