//! Standard output, which may be a pipe that nobody reads any more.

use std::io::{self, Write};

use crate::cli::error::CliError;

/// Prints `text` and flushes it.
pub(in crate::cli) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// Prints what need not be text, and flushes it.
pub(in crate::cli) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    ignore_closed_pipe(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// What has come of printing. That the reader has gone is no failure: it had read what it wanted (`switchboard help | head`).
pub(in crate::cli) fn ignore_closed_pipe(printed: io::Result<()>) -> Result<(), CliError> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            log::debug!("nobody reads standard output");
            Ok(())
        }
        Err(error) => Err(CliError::Failed(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
