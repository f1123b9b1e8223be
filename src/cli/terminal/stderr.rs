//! Standard error. An error of a write is ignored: if it is closed, the text has no other place.

use std::io::{self, Write};

/// Prints a line.
pub(in crate::cli) fn print_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a message of a client, marked as not the server's.
pub(in crate::cli) fn print_notice(line: &str) {
    print_line(&format!("* {line}"));
}
