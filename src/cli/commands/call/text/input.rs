//! The lines that the user sends: from a terminal with a line editor, or from a pipe.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Stdin};

use rustyline::error::ReadlineError;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::{Completer, Config, Editor, Helper, Highlighter, Validator};

use crate::cli::error::CliError;

/// The longest line that is read from a pipe, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// The result of reading one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InputLine {
    Text(String),
    /// A line that cannot be sent, for this reason.
    Invalid(String),
    End,
}

/// Standard input.
pub(super) enum LineInput {
    Pipe(BufReader<Stdin>),
    Terminal(Box<LineEditor>),
}

/// A terminal's line editor.
pub(super) struct LineEditor {
    editor: Editor<LineHelper, DefaultHistory>,
    prompt: String,
    /// The remaining lines of a text that was pasted in one piece.
    pasted: VecDeque<String>,
}

impl LineInput {
    pub(super) fn pipe() -> Self {
        Self::Pipe(BufReader::new(io::stdin()))
    }

    pub(super) fn terminal(service: &str) -> Result<Self, CliError> {
        let failed = |error: ReadlineError| CliError::Failed(format!("cannot use the terminal: {error}"));
        restore_terminal_on_signals()
            .map_err(|error| CliError::Failed(format!("cannot watch for signals: {error}")))?;
        let mut editor = Editor::with_config(Config::builder().auto_add_history(true).build()).map_err(failed)?;
        editor.set_helper(Some(LineHelper { is_empty: Cell::new(true) }));
        let prompt = format!("{service}> ");
        Ok(Self::Terminal(Box::new(LineEditor { editor, prompt, pasted: VecDeque::new() })))
    }

    pub(super) fn next(&mut self) -> Result<InputLine, CliError> {
        match self {
            Self::Pipe(input) => {
                read_line(input).map_err(|error| CliError::Failed(format!("cannot read standard input: {error}")))
            }
            Self::Terminal(editor) => editor.next(),
        }
    }
}

impl LineEditor {
    fn next(&mut self) -> Result<InputLine, CliError> {
        loop {
            if let Some(line) = self.pasted.pop_front() {
                return Ok(InputLine::Text(line));
            }
            match self.editor.readline(&self.prompt) {
                Ok(lines) => self.pasted.extend(lines.split('\n').map(str::to_owned)),
                Err(ReadlineError::Interrupted)
                    if self.editor.helper().is_some_and(|helper| !helper.is_empty.get()) => {}
                // The user typed bytes that are not UTF-8.
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {}
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(InputLine::End),
                Err(error) => return Err(CliError::Failed(format!("cannot read the terminal: {error}"))),
            }
        }
    }
}

/// Restores the terminal before a signal ends the program. The line editor uses raw mode, in which
/// the shell would not show what the user types.
#[cfg(unix)]
fn restore_terminal_on_signals() -> io::Result<()> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let saved = tcgetattr(io::stdin())?;
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let restore = move || {
        if let Some(signal) = signals.forever().next() {
            if tcgetattr(io::stdin()).is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON)) {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, &saved);
                // Turn off bracketed paste and erase the prompt. Bypass the lock of standard
                // output: another thread may hold it.
                let _ = rustix::io::write(io::stdout(), b"\x1b[?2004l\r\x1b[J");
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(restore).map(drop)
}

#[cfg(not(unix))]
fn restore_terminal_on_signals() -> io::Result<()> {
    Ok(())
}

/// The editor's callbacks. They record whether the edited line is empty.
#[derive(Helper, Completer, Highlighter, Validator)]
struct LineHelper {
    /// True if the line is empty. rustyline returns `Interrupted` for both cases, and only Ctrl-C
    /// on an empty line ends the program.
    is_empty: Cell<bool>,
}

impl Hinter for LineHelper {
    type Hint = String;

    /// Returns `None`: there are no hints. rustyline calls it before the first draw and after each
    /// change, so it records the line's state.
    fn hint(&self, line: &str, _cursor: usize, _: &rustyline::Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        None
    }
}

/// Reads a line that ends with LF, CRLF or the end of the input.
fn read_line(from: &mut impl BufRead) -> io::Result<InputLine> {
    let mut line = Vec::new();
    if from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(InputLine::End);
    }
    if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
        // Skip the rest of the line in pieces.
        while !line.is_empty() && !line.ends_with(b"\n") {
            line.clear();
            from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        }
        return Ok(InputLine::Invalid(format!("not sent: a line is longer than {MAX_LINE_BYTES} bytes")));
    }
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Ok(match std::str::from_utf8(text) {
        Ok(text) => InputLine::Text(text.to_owned()),
        Err(_) => InputLine::Invalid("not sent: a line is not UTF-8; convert it with iconv".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> Vec<InputLine> {
        let mut lines = Vec::new();
        while lines.last() != Some(&InputLine::End) {
            lines.push(read_line(&mut bytes).unwrap());
        }
        lines
    }

    fn text(line: &str) -> InputLine {
        InputLine::Text(line.to_owned())
    }

    #[test]
    fn line_ends_with_lf_crlf_or_end_of_input() {
        let lines = [text("one"), text("two"), text(""), text("last"), InputLine::End];
        assert_eq!(read_all(b"one\ntwo\r\n\nlast"), lines);
        assert_eq!(read_all(b""), [InputLine::End]);
    }

    #[test]
    fn invalid_line_is_reported_and_the_next_is_read() {
        let [InputLine::Invalid(reason), next, InputLine::End] = &read_all(b"\xff\nok\n")[..] else { panic!() };
        assert!(reason.contains("not UTF-8"), "{reason}");
        assert_eq!(*next, text("ok"));
        let long = [vec![b'x'; 3 << 20], b"\nok\n".to_vec()].concat();
        let [InputLine::Invalid(reason), next, InputLine::End] = &read_all(&long)[..] else { panic!() };
        assert!(reason.contains("longer than 1048576 bytes"), "{reason}");
        assert_eq!(*next, text("ok"));
        let longest = [vec![b'x'; (1 << 20) - 1], b"\n".to_vec()].concat();
        assert!(matches!(&read_all(&longest)[..], [InputLine::Text(_), InputLine::End]));
    }
}
