//! The line editor of a terminal, the same for each client with a prompt.

use std::cell::Cell;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::completion::Completer;
use rustyline::config::Builder;
use rustyline::error::ReadlineError;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler, ExternalPrinter, Helper,
    Highlighter, KeyEvent, Prompt, RepeatCount, Validator,
};

use crate::cli::error::CliError;

/// Lines that the arrow keys find again.
pub(in crate::cli) const MAX_HISTORY_LINES: usize = 1000;

/// The parts in which the editors of the clients differ.
pub(in crate::cli) trait EditorHooks: Send {
    /// Returns the start of the word before `cursor`, and its possible completions.
    fn complete(&self, _line: &str, cursor: usize) -> (usize, Vec<String>) {
        (cursor, Vec::new())
    }

    /// Runs before the line is drawn for the first time, and after each change.
    fn on_change(&self) {}
}

/// No completion.
impl EditorHooks for () {}

/// The result of editing one line.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum EditedLine {
    Text(String),
    /// Ctrl-C on a line that is not empty.
    Discarded,
    /// A line that cannot be sent, for this reason.
    Invalid(String),
    /// Ctrl-D or Ctrl-C on an empty line.
    End,
}

/// A line editor with its history.
pub(in crate::cli) struct LineEditor {
    rustyline: Editor<LineHelper, DefaultHistory>,
}

impl LineEditor {
    pub(in crate::cli) fn open(hooks: Box<dyn EditorHooks>) -> Result<Self, CliError> {
        let config = Config::builder().max_history_size(MAX_HISTORY_LINES).map(Builder::build);
        let mut rustyline = config
            .and_then(Editor::with_config)
            .map_err(|error| CliError::Failed(format!("cannot use the terminal: {error}")))?;
        rustyline.set_helper(Some(LineHelper { hooks, is_empty: Cell::new(true) }));
        let after_return = Arc::new(AtomicBool::new(false));
        for (key, is_return) in [(KeyEvent::from('\r'), true), (KeyEvent::ctrl('J'), false)] {
            let handler = LineEndHandler { is_return, after_return: Arc::clone(&after_return) };
            rustyline.bind_sequence(key, EventHandler::Conditional(Box::new(handler)));
        }
        Ok(Self { rustyline })
    }

    /// Edits one line, and adds it to the history unless it is blank.
    pub(in crate::cli) fn edit(&mut self, prompt: &(impl Prompt + ?Sized)) -> Result<EditedLine, CliError> {
        match self.rustyline.readline(prompt) {
            Ok(line) => {
                self.add_history(&line);
                Ok(EditedLine::Text(line))
            }
            Err(ReadlineError::Interrupted) if self.rustyline.helper().is_some_and(|helper| !helper.is_empty.get()) => {
                Ok(EditedLine::Discarded)
            }
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => Ok(EditedLine::Invalid(
                "not sent: the line is not UTF-8, and input behind it may be lost; set the terminal to UTF-8"
                    .to_owned(),
            )),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(EditedLine::End),
            Err(error) => Err(CliError::Failed(format!("cannot read the terminal: {error}"))),
        }
    }

    /// Adds a line to the history unless it is blank.
    pub(in crate::cli) fn add_history(&mut self, line: &str) {
        if !line.trim().is_empty() {
            // Ignore the error: only the history lacks the line.
            let _ = self.rustyline.add_history_entry(line);
        }
    }

    /// Returns a printer of text above the edited line. `None` if the terminal cannot do that, as
    /// with `TERM=dumb`.
    pub(in crate::cli) fn printer(&mut self) -> Option<impl ExternalPrinter + use<>> {
        self.rustyline.create_external_printer().ok()
    }
}

/// The handler of a key that ends a line. A line feed directly behind a carriage return ends no
/// further line: the two are one line end, also if they arrive in two reads.
struct LineEndHandler {
    is_return: bool,
    /// True if a carriage return ended the last line.
    after_return: Arc<AtomicBool>,
}

impl ConditionalEventHandler for LineEndHandler {
    fn handle(&self, _: &Event, _: RepeatCount, _positive: bool, line: &EventContext<'_>) -> Option<Cmd> {
        let was_return = self.after_return.swap(self.is_return, Ordering::Relaxed);
        (was_return && !self.is_return && line.line().is_empty()).then_some(Cmd::Noop)
    }
}

/// The editor's callbacks for the line being edited.
#[derive(Helper, Highlighter, Validator)]
struct LineHelper {
    hooks: Box<dyn EditorHooks>,
    /// True if the line is empty. rustyline returns `Interrupted` for both cases, and only Ctrl-C
    /// on an empty line ends the program.
    is_empty: Cell<bool>,
}

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.hooks.complete(line, cursor))
    }
}

impl Hinter for LineHelper {
    type Hint = String;

    /// Returns `None`: there are no hints. rustyline calls it before the first draw and after each
    /// change, so it records the line's state.
    fn hint(&self, line: &str, _cursor: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        self.hooks.on_change();
        None
    }
}
