//! Standard error. No write waits for its reader, see [`LineWriter`]. An error of a write is
//! ignored: if it is closed, the text has no other place.

use std::io;
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::time::Duration;

use super::line_writer::{FormatLost, LineWriter};
use super::nonblocking_output::NonblockingOutput;

/// The one writer to standard error.
static STDERR: LazyLock<LineWriter> = LazyLock::new(|| {
    LineWriter::new(NonblockingOutput::new(io::stderr().as_fd()), |count| format!("{count} lines lost\n"))
});

/// Prints a line.
pub(in crate::cli) fn print_line(line: &str) {
    print(&format!("{line}\n"));
}

/// Prints text that ends with a line feed.
pub(in crate::cli) fn print(text: &str) {
    let _ = STDERR.write(text.as_bytes());
}

/// Prints a message of a client, marked as not the server's.
pub(in crate::cli) fn print_notice(line: &str) {
    print_line(&format!("* {line}"));
}

/// Sets the function that formats the number of lines that could not be written.
pub(in crate::cli) fn set_format_lost(format_lost: FormatLost) {
    STDERR.set_format_lost(format_lost);
}

/// Returns the number of lines that could not be written.
pub(in crate::cli) fn lost_lines() -> u64 {
    STDERR.lost()
}

/// Waits until everything printed is written, at most for `limit` if there is one.
pub(in crate::cli) fn finish(limit: Option<Duration>) {
    STDERR.finish(limit);
}
