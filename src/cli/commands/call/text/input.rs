//! Where lines come from: a person at a terminal, or a pipe.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Stdin};

use rustyline::error::ReadlineError;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::{Completer, Config, Editor, Helper, Highlighter, Validator};

use crate::cli::failure::Failure;

/// The longest line that is read from a pipe, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    /// Something that is no line of text, for this reason.
    Unreadable(String),
    End,
}

/// Standard input.
pub(super) enum Lines {
    Piped(BufReader<Stdin>),
    Typed(Box<Typed>),
}

/// A terminal with a line editor.
pub(super) struct Typed {
    editor: Editor<Typist, DefaultHistory>,
    prompt: String,
    /// Lines that were pasted as one.
    pasted: VecDeque<String>,
}

impl Lines {
    pub(super) fn piped() -> Self {
        Self::Piped(BufReader::new(io::stdin()))
    }

    pub(super) fn typed(service: &str) -> Result<Self, Failure> {
        let failed = |error: ReadlineError| Failure::Failed(format!("cannot use the terminal: {error}"));
        put_back_on_signals().map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))?;
        let mut editor = Editor::with_config(Config::builder().auto_add_history(true).build()).map_err(failed)?;
        editor.set_helper(Some(Typist { is_empty: Cell::new(true) }));
        Ok(Self::Typed(Box::new(Typed { editor, prompt: format!("{service}> "), pasted: VecDeque::new() })))
    }

    pub(super) fn next(&mut self) -> Result<Line, Failure> {
        match self {
            Self::Piped(input) => {
                read(input).map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))
            }
            Self::Typed(typed) => typed.next(),
        }
    }
}

impl Typed {
    fn next(&mut self) -> Result<Line, Failure> {
        loop {
            if let Some(line) = self.pasted.pop_front() {
                return Ok(Line::Text(line));
            }
            match self.editor.readline(&self.prompt) {
                Ok(lines) => self.pasted.extend(lines.split('\n').map(str::to_owned)),
                Err(ReadlineError::Interrupted)
                    if self.editor.helper().is_some_and(|typist| !typist.is_empty.get()) => {}
                // Something that is not UTF-8 was typed.
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {}
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(Line::End),
                Err(error) => return Err(Failure::Failed(format!("cannot read the terminal: {error}"))),
            }
        }
    }
}

/// A signal ends the program at once, as it does by itself, but not in the middle of a line that the editor has the terminal for:
/// a shell would be left with one that shows nothing of what is typed.
#[cfg(unix)]
fn put_back_on_signals() -> io::Result<()> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let before = tcgetattr(io::stdin())?;
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let obey = move || {
        if let Some(signal) = signals.forever().next() {
            if tcgetattr(io::stdin()).is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON)) {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
                // The prompt goes, and pasting is no longer marked. Not by way of standard output's lock, which may be held.
                let _ = rustix::io::write(io::stdout(), b"\x1b[?2004l\r\x1b[J");
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(obey).map(drop)
}

#[cfg(not(unix))]
fn put_back_on_signals() -> io::Result<()> {
    Ok(())
}

/// What the editor asks about the line that is being typed.
#[derive(Helper, Completer, Highlighter, Validator)]
struct Typist {
    /// Ctrl-C means something else on an empty line, and the editor does not say what it threw away.
    is_empty: Cell<bool>,
}

impl Hinter for Typist {
    type Hint = String;

    /// Asked before the line is shown for the first time, and after every change; there is nothing to hint at.
    fn hint(&self, line: &str, _cursor: usize, _: &rustyline::Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        None
    }
}

/// Reads a line, which ends with a line feed, with a carriage return before it, or with the input.
fn read(from: &mut impl BufRead) -> io::Result<Line> {
    let mut line = Vec::new();
    if from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(Line::End);
    }
    if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
        // The rest of it is read away, a piece at a time.
        while !line.is_empty() && !line.ends_with(b"\n") {
            line.clear();
            from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        }
        return Ok(Line::Unreadable(format!("not sent: a line is longer than {MAX_LINE_BYTES} bytes")));
    }
    let end = line.strip_suffix(b"\n").unwrap_or(&line);
    let end = end.strip_suffix(b"\r").unwrap_or(end);
    Ok(match std::str::from_utf8(end) {
        Ok(text) => Line::Text(text.to_owned()),
        Err(_) => Line::Unreadable("not sent: a line is not UTF-8; iconv can make it so".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while lines.last() != Some(&Line::End) {
            lines.push(read(&mut bytes).unwrap());
        }
        lines
    }

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    #[test]
    fn lines_end_with_either_ending_or_with_the_input() {
        let read = [text("one"), text("two"), text(""), text("last"), Line::End];
        assert_eq!(lines(b"one\ntwo\r\n\nlast"), read);
        assert_eq!(lines(b""), [Line::End]);
    }

    #[test]
    fn what_is_no_line_of_text_is_told_and_the_next_is_read() {
        let [Line::Unreadable(why), ok, Line::End] = &lines(b"\xff\nok\n")[..] else { panic!() };
        assert!(why.contains("not UTF-8"), "{why}");
        assert_eq!(*ok, text("ok"));
        let long = [vec![b'x'; 3 << 20], b"\nok\n".to_vec()].concat();
        let [Line::Unreadable(why), ok, Line::End] = &lines(&long)[..] else { panic!() };
        assert!(why.contains("longer than 1048576 bytes"), "{why}");
        assert_eq!(*ok, text("ok"));
        let exact = [vec![b'x'; (1 << 20) - 1], b"\n".to_vec()].concat();
        assert!(matches!(&lines(&exact)[..], [Line::Text(_), Line::End]));
    }
}
