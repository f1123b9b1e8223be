//! Where answers are shown: a terminal, which they must not command, or a pipe, into which they go as they are.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use switchboard::TextEncoding;
use switchboard::shown::{visible, word};

use super::repl::Text;
use crate::cli::failure::Failure;

/// Standard output, and standard error for what is not an answer.
pub(in crate::cli::commands::call) struct Screen {
    form: Form,
    encoding: TextEncoding,
    is_terminal: bool,
    told_of_unreadable: bool,
    nobody_reads: bool,
}

/// In which form answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::commands::call) enum Form {
    Text,
    Json,
}

/// An answer as JSON.
#[derive(serde::Serialize)]
struct Exchange<'a> {
    sent: Option<&'a str>,
    answer: Option<&'a str>,
}

impl Screen {
    pub(in crate::cli::commands::call) fn new(form: Form, encoding: TextEncoding) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { form, encoding, is_terminal, told_of_unreadable: false, nobody_reads: false }
    }

    /// Whether whoever read standard output has gone, having read what was wanted.
    pub(in crate::cli::commands::call) fn nobody_reads(&self) -> bool {
        self.nobody_reads
    }

    /// Shows what came, and what it is the answer to, if it is one.
    pub(in crate::cli::commands::call) fn answer(&mut self, sent: Option<&str>, came: &Text) -> Result<(), Failure> {
        if !came.is_readable && !std::mem::replace(&mut self.told_of_unreadable, true) {
            let encoding = self.encoding;
            tell(&format!(
                "not all that came is text in {encoding}: \u{fffd} stands for what is not; --encoding names another"
            ));
        }
        match self.form {
            Form::Json => self.exchange(sent, Some(&came.text)),
            Form::Text => self.line(&came.text),
        }
    }

    /// A line got no answer.
    pub(in crate::cli::commands::call) fn no_answer(&mut self, sent: &str) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.exchange(Some(sent), None),
            Form::Text => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let line = if self.is_terminal { visible(line) } else { Cow::Borrowed(line) };
        self.print(format!("{line}\n").as_bytes())
    }

    fn exchange(&mut self, sent: Option<&str>, answer: Option<&str>) -> Result<(), Failure> {
        let json = serde_json::to_string(&Exchange { sent, answer });
        let json = json.map_err(|error| Failure::Failed(format!("cannot write JSON: {error}")))?;
        let mut line = if self.is_terminal { in_ascii_where_it_commands(&json) } else { json };
        line.push('\n');
        self.print(line.as_bytes())
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.nobody_reads = true;
                Ok(())
            }
            Err(error) => Err(Failure::Failed(format!("cannot write to standard output: {error}"))),
        }
    }
}

/// Says a line of the client's own.
pub(in crate::cli::commands::call) fn tell(line: &str) {
    // Where standard error is closed, nobody can be told.
    let _ = writeln!(io::stderr(), "* {line}");
}

/// JSON that means the same and holds nothing that a terminal obeys.
fn in_ascii_where_it_commands(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // All such characters are in the first plane, where JSON's escape has four digits.
        match word(c.encode_utf8(&mut [0; 4])) {
            Cow::Borrowed(shown) => out.push_str(shown),
            // Writing to a string does not fail.
            Cow::Owned(_) => _ = write!(out, "\\u{:04x}", u32::from(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_at_a_terminal_means_the_same() {
        let json = serde_json::to_string("\u{9b}31m\u{202e}\u{1b}é\"").unwrap();
        let shown = in_ascii_where_it_commands(&json);
        assert_eq!(shown, r#""\u009b31m\u202e\u001bé\"""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "\u{9b}31m\u{202e}\u{1b}é\"");
    }
}
