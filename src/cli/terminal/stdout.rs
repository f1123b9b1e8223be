//! Standard output. It may be a pipe whose reader has gone, as in `switchboard help | head`.

use std::io::{self, Write};

use crate::cli::error::CliError;

/// Prints `text` and flushes it.
pub(in crate::cli) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// Prints `bytes`, which need not be text, and flushes them.
pub(in crate::cli) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    ignore_closed_pipe(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Turns `BrokenPipe` into success, because the reader has what it wanted, and adds the context to
/// other errors.
pub(in crate::cli) fn ignore_closed_pipe(printed: io::Result<()>) -> Result<(), CliError> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            log::debug!("standard output is closed: its reader has gone");
            Ok(())
        }
        Err(error) => Err(CliError::Failed(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
