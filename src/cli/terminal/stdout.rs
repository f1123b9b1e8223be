//! Standard output. It may be a pipe whose reader has gone, as in `switchboard help | head`.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use serde::Serialize;

use super::line_writer::LineWriter;
use super::nonblocking_output::NonblockingOutput;
use super::sanitize;
use crate::cli::error::CliError;

/// Prints `text` and flushes it. If the reader has gone, it has what it wanted: that is no error.
pub(in crate::cli) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes()).map(drop)
}

/// Prints `bytes`, which need not be text, and flushes them. Returns true if the reader has gone.
pub(in crate::cli) fn print_bytes(bytes: &[u8]) -> Result<bool, CliError> {
    let mut stdout = io::stdout().lock();
    is_closed(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Prints lines of a program that must not wait for the reader of its standard output. What the
/// reader does not take now, a thread writes.
pub(in crate::cli) fn print_without_waiting(text: &str) -> Result<(), CliError> {
    let writer = LineWriter::new(NonblockingOutput::new(io::stdout().as_fd()), |_| String::new());
    is_closed(writer.write(text.as_bytes())).map(drop)
}

/// Prints a value as one line of JSON. On a terminal, characters that control it are written as
/// JSON escapes. Returns true if the reader has gone.
pub(in crate::cli) fn print_json(value: &impl Serialize) -> Result<bool, CliError> {
    let json = serde_json::to_string(value).map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
    let json = if io::stdout().is_terminal() { sanitize::json(&json) } else { json };
    print_bytes(format!("{json}\n").as_bytes())
}

/// Returns true if the reader of standard output has gone, and adds the context to other errors.
pub(in crate::cli) fn is_closed(printed: io::Result<()>) -> Result<bool, CliError> {
    match printed {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            log::debug!("standard output is closed: its reader has gone");
            Ok(true)
        }
        Err(error) => Err(CliError::Failed(format!("cannot write to standard output: {error}"))),
    }
}
