//! Standard output, which may be a pipe that nobody reads any more.

use std::io::{self, Write};

use super::failure::Failure;

/// Prints `text` and flushes it.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Prints what need not be text, and flushes it.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    unless_nobody_reads(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// What has come of printing. That the reader has gone is no failure: it had read what it wanted (`switchboard help | head`).
pub(super) fn unless_nobody_reads(printed: io::Result<()>) -> Result<(), Failure> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            log::debug!("nobody reads standard output");
            Ok(())
        }
        Err(error) => Err(Failure::Failed(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
