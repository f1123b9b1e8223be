//! A chat session at a terminal: messages appear above the line being edited.
//!
//! The main thread runs the session. The thread `input` reads lines, and the thread `printer`
//! prints messages. The session waits for `printer` only if 1,024 messages (`MAX_QUEUED_MESSAGES`)
//! are queued. If the session ends while a line is being edited, the main thread restores the
//! terminal.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustyline::{ExternalPrinter, Prompt};
use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::console::render;
use switchboard::services::chat::wire::ChatEvent;

use super::completion::NameCompleter;
use super::display::{ChatDisplay, text_lines};
use super::event::ClientEvent;
use super::history::HistoryFile;
use super::session_io::{RunSession, SessionIo, spawn};
use super::terminal_lock::TerminalLock;
use crate::cli::error::CliError;
use crate::cli::terminal::{EditedLine, EditorHooks, InputLine, LineEditor, SavedTerminal};

/// Messages queued for the terminal, for example while a list of completions is open. If the queue
/// is full, the client stops reading its socket, and the server's slow-consumer policy applies.
const MAX_QUEUED_MESSAGES: usize = 1024;

/// Messages printed with the first one in one redraw.
const BATCH_MESSAGES: usize = 64;

/// Text that changes nothing on the screen: cursor up, then a line feed. Printing it forces a
/// redraw.
const INVISIBLE_LINE: &str = "\x1b[A\n";

/// Time limit, at exit, for printing the last messages and again for stopping the editor.
const EXIT_STEP_TIMEOUT: Duration = Duration::from_millis(300);

/// A line editor with its history, and the thread that prints messages above the line.
pub(super) struct ChatEditor {
    editor: LineEditor,
    history: Option<HistoryFile>,
    display: TerminalDisplay,
    /// Disconnects when the printing thread ends.
    printer_exit: Receiver<()>,
    terminal_lock: Arc<TerminalLock>,
}

impl ChatEditor {
    /// Opens a line editor and starts its printing thread. Returns `None` if rustyline cannot print
    /// above the line, as with `TERM=dumb`.
    pub(super) fn open(history: Option<&Path>, palette: Palette) -> Result<Option<Self>, CliError> {
        let history_error = |path: &Path, error: &io::Error| {
            CliError::Failed(format!("cannot open the history {}: {error}; check --history", path.display()))
        };
        let (history, old_lines) = match history {
            Some(path) => {
                let (history, lines) = HistoryFile::open(path).map_err(|error| history_error(path, &error))?;
                (Some(history), lines)
            }
            None => (None, Vec::new()),
        };
        let completer = Arc::new(Mutex::new(NameCompleter::default()));
        let terminal_lock = Arc::new(TerminalLock::new());
        let hooks = ChatHooks { completer: Arc::clone(&completer), terminal_lock: Arc::clone(&terminal_lock) };
        let mut editor = LineEditor::open(Box::new(hooks))?;
        for line in &old_lines {
            editor.add_history(line);
        }
        let Some(printer) = editor.printer() else { return Ok(None) };
        let (messages, queued) = sync_channel(MAX_QUEUED_MESSAGES);
        let (exit_sender, printer_exit) = channel();
        let printer_lock = Arc::clone(&terminal_lock);
        spawn("printer", move || {
            print_lines(printer, &queued, &printer_lock);
            drop(exit_sender);
        })?;
        let display = TerminalDisplay { messages, palette, completer };
        Ok(Some(Self { editor, history, display, printer_exit, terminal_lock }))
    }

    /// Runs a session, and restores the terminal at the end.
    pub(super) fn run(self, session: RunSession) -> Result<ExitCode, CliError> {
        let Self { editor, history, display, printer_exit, terminal_lock } = self;
        let saved_terminal = SavedTerminal::new();
        let input_lock = Arc::clone(&terminal_lock);
        let read = move |permits: &_, events: &_| read_lines(editor, history, &input_lock, permits, events);
        let result = session(SessionIo::start(Box::new(display), true, read)?);
        // The session and its display are dropped, so the queue gets no more messages.
        let _ = printer_exit.recv_timeout(EXIT_STEP_TIMEOUT);
        // `print_lines` has printed `INVISIBLE_LINE`, so the editor redraws and stops in
        // `block_if_stopped`.
        terminal_lock.stop_editor(EXIT_STEP_TIMEOUT);
        drop(saved_terminal);
        result
    }
}

/// Reads one line per permit. The value of a permit is the prompt.
fn read_lines(
    mut editor: LineEditor,
    mut history: Option<HistoryFile>,
    terminal_lock: &TerminalLock,
    permits: &Receiver<String>,
    events: &SyncSender<ClientEvent>,
) {
    'lines: while let Ok(prompt) = permits.recv() {
        let line = loop {
            match terminal_lock.edit(|| editor.edit(&StoppablePrompt { prompt: &prompt, terminal_lock })) {
                Ok(EditedLine::Text(line)) => break line,
                Ok(EditedLine::Discarded) => {}
                Ok(EditedLine::Invalid(reason)) => {
                    if events.send(ClientEvent::Input(InputLine::Invalid(reason))).is_err() {
                        return;
                    }
                    continue 'lines;
                }
                Ok(EditedLine::End) | Err(_) => break 'lines,
            }
        };
        if !line.trim().is_empty()
            && let Some(file) = &mut history
            && let Err(error) = file.append(&line)
        {
            let notice =
                format!("cannot write the history {}: {error}; later lines are not saved", file.path().display());
            history = None;
            if events.send(ClientEvent::Notice(notice)).is_err() {
                return;
            }
        }
        if events.send(ClientEvent::Input(InputLine::Text(line))).is_err() {
            return;
        }
    }
    let _ = events.send(ClientEvent::Input(InputLine::End));
}

/// Prints queued messages, a first one and up to `BATCH_MESSAGES` more per redraw, until the queue
/// disconnects.
fn print_lines(mut printer: impl ExternalPrinter, queued: &Receiver<String>, terminal_lock: &TerminalLock) {
    while let Ok(mut text) = queued.recv() {
        text.push('\n');
        for message in queued.try_iter().take(BATCH_MESSAGES) {
            text.push_str(&message);
            text.push('\n');
        }
        if terminal_lock.print(|| printer.print(text)).is_err() {
            return;
        }
    }
    // rustyline queues one text. `print` returns when the editor has taken the text before this
    // one.
    let _ = terminal_lock.print(|| printer.print(INVISIBLE_LINE.to_owned()));
}

/// A display that prints above the edited line.
struct TerminalDisplay {
    /// Messages to print.
    messages: SyncSender<String>,
    palette: Palette,
    completer: Arc<Mutex<NameCompleter>>,
}

impl TerminalDisplay {
    fn print_line(&self, line: String) -> io::Result<()> {
        // The printing thread ends only if the terminal has failed.
        self.messages.send(line).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl ChatDisplay for TerminalDisplay {
    fn show_payload(&mut self, _payload: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn show_event(&mut self, event: &ChatEvent<'_>) -> io::Result<()> {
        self.completer.lock().unwrap_or_else(PoisonError::into_inner).add_event(event);
        self.print_line(render(event, &self.palette))
    }

    fn show_text(&mut self, text: &str) -> io::Result<()> {
        text_lines(text).try_for_each(|line| self.print_line(line))
    }

    fn show_notice(&mut self, line: &str) -> io::Result<()> {
        self.print_line(format!("* {line}"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A prompt that calls `block_if_stopped` before the editor draws it.
struct StoppablePrompt<'a> {
    prompt: &'a str,
    terminal_lock: &'a TerminalLock,
}

impl Prompt for StoppablePrompt<'_> {
    fn raw(&self) -> &str {
        self.terminal_lock.block_if_stopped();
        self.prompt
    }

    fn styled(&self) -> &str {
        self.terminal_lock.block_if_stopped();
        self.prompt
    }
}

/// Completion, and the start of a line.
struct ChatHooks {
    completer: Arc<Mutex<NameCompleter>>,
    terminal_lock: Arc<TerminalLock>,
}

impl EditorHooks for ChatHooks {
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        self.completer.lock().unwrap_or_else(PoisonError::into_inner).complete(line, cursor)
    }

    fn on_change(&self) {
        self.terminal_lock.mark_editing();
    }
}
