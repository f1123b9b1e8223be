//! A chat session at a terminal: messages appear above the line being edited.
//!
//! The main thread runs the session. The thread `input` reads lines, and the thread `printer`
//! prints messages. The session waits for `printer` only if 1,024 messages (`MAX_QUEUED_MESSAGES`)
//! are queued. If the session ends while a line is being edited, the main thread restores the
//! terminal.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::{Config, ExternalPrinter, Helper, Highlighter, Prompt, Validator};
use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::console::render;
use switchboard::services::chat::wire::ChatEvent;

use super::completion::NameCompleter;
use super::display::ChatDisplay;
use super::event::{ClientEvent, LinePermits};
use super::history::{HistoryFile, MAX_LINES};
use super::session_runner::{SessionRunner, thread_error};
use super::signals;
use super::terminal_lock::TerminalLock;
use crate::cli::error::CliError;

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
    rustyline: rustyline::Editor<ChatLineHelper, DefaultHistory>,
    history: Option<HistoryFile>,
    /// Messages to print. `None` after `take_display`.
    messages: Option<SyncSender<String>>,
    /// Disconnects when the printing thread ends.
    printer_exit: Receiver<()>,
    palette: Palette,
    completer: Arc<Mutex<NameCompleter>>,
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
        let failed = |error: ReadlineError| CliError::Failed(format!("cannot use the terminal: {error}"));
        let config = Config::builder().max_history_size(MAX_LINES).map_err(failed)?.auto_add_history(false).build();
        let mut rustyline = rustyline::Editor::with_config(config).map_err(failed)?;
        let completer = Arc::new(Mutex::new(NameCompleter::default()));
        let terminal_lock = Arc::new(TerminalLock::new());
        rustyline.set_helper(Some(ChatLineHelper {
            completer: Arc::clone(&completer),
            terminal_lock: Arc::clone(&terminal_lock),
            is_empty: Cell::new(true),
        }));
        for line in old_lines {
            rustyline.add_history_entry(line).map_err(failed)?;
        }
        let Ok(printer) = rustyline.create_external_printer() else { return Ok(None) };
        let (messages, queued) = sync_channel(MAX_QUEUED_MESSAGES);
        let (exit_sender, printer_exit) = channel();
        let printer_lock = Arc::clone(&terminal_lock);
        let print = move || {
            print_lines(printer, &queued, &printer_lock);
            drop(exit_sender);
        };
        thread::Builder::new().name("printer".into()).spawn(print).map_err(|error| thread_error(&error))?;
        let messages = Some(messages);
        Ok(Some(Self { rustyline, history, messages, printer_exit, palette, completer, terminal_lock }))
    }

    /// Takes the display, which prints above the edited line. Call it once.
    pub(super) fn take_display(&mut self) -> Box<dyn ChatDisplay> {
        let (messages, completer) = (self.messages.take(), Arc::clone(&self.completer));
        Box::new(TerminalDisplay { messages, palette: self.palette.clone(), completer })
    }
}

/// Starts the thread `input`, runs the session, and restores the terminal at the end.
pub(super) fn run(runner: SessionRunner, editor: ChatEditor) -> Result<ExitCode, CliError> {
    let events = runner.event_sender();
    signals::watch(&events, true)?;
    let saved_terminal = SavedTerminal::new();
    let (permit_sender, permit_receiver) = channel();
    let ChatEditor { rustyline, history, printer_exit, terminal_lock, .. } = editor;
    let input_lock = Arc::clone(&terminal_lock);
    let read = move || read_lines(rustyline, history, &input_lock, &permit_receiver, &events);
    thread::Builder::new().name("input".into()).spawn(read).map_err(|error| thread_error(&error))?;
    let result = runner.run(&LinePermits { permit_sender, max_ahead: 1, is_interactive: true });
    // The runner and its display are dropped, so the queue gets no more messages.
    let _ = printer_exit.recv_timeout(EXIT_STEP_TIMEOUT);
    // `print_lines` has printed `INVISIBLE_LINE`, so the editor redraws and stops in
    // `block_if_stopped`.
    terminal_lock.stop_editor(EXIT_STEP_TIMEOUT);
    drop(saved_terminal);
    result
}

/// Reads one line per permit. The value of a permit is the prompt.
fn read_lines(
    mut rustyline: rustyline::Editor<ChatLineHelper, DefaultHistory>,
    mut history: Option<HistoryFile>,
    terminal_lock: &TerminalLock,
    permits: &Receiver<String>,
    events: &SyncSender<ClientEvent>,
) {
    'lines: while let Ok(prompt) = permits.recv() {
        let line = loop {
            match terminal_lock.edit(|| rustyline.readline(&StoppablePrompt { prompt: &prompt, terminal_lock })) {
                Ok(line) => break line,
                // Ctrl-C on a non-empty line discards it.
                Err(ReadlineError::Interrupted) if rustyline.helper().is_some_and(|helper| !helper.is_empty.get()) => {}
                // The user typed bytes that are not UTF-8.
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => break 'lines,
            }
        };
        if !line.trim().is_empty() {
            // Ignore the error: the line is sent, and only the history lacks it.
            let _ = rustyline.add_history_entry(line.as_str());
            if let Some(file) = &mut history
                && let Err(error) = file.append(&line)
            {
                let notice =
                    format!("cannot write the history {}: {error}; later lines are not saved", file.path().display());
                history = None;
                if events.send(ClientEvent::Notice(notice)).is_err() {
                    return;
                }
            }
        }
        if events.send(ClientEvent::Line(line)).is_err() {
            return;
        }
    }
    let _ = events.send(ClientEvent::EndOfInput);
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
    /// Messages to print. `None` if the editor's display was taken before.
    messages: Option<SyncSender<String>>,
    palette: Palette,
    completer: Arc<Mutex<NameCompleter>>,
}

impl TerminalDisplay {
    fn print_line(&self, line: String) -> io::Result<()> {
        let sent = self.messages.as_ref().map(|messages| messages.send(line));
        // The printing thread ends only if the terminal has failed.
        if let Some(Ok(())) = sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
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

/// The editor's callbacks for the line being edited.
#[derive(Helper, Highlighter, Validator)]
struct ChatLineHelper {
    completer: Arc<Mutex<NameCompleter>>,
    terminal_lock: Arc<TerminalLock>,
    /// True if the line is empty. rustyline returns `Interrupted` for both cases, and only Ctrl-C
    /// on an empty line ends the program.
    is_empty: Cell<bool>,
}

impl Completer for ChatLineHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.completer.lock().unwrap_or_else(PoisonError::into_inner).complete(line, cursor))
    }
}

impl Hinter for ChatLineHelper {
    type Hint = String;

    /// Returns `None`: there are no hints. rustyline calls it before the first draw and after each
    /// change, so it records the line's state.
    fn hint(&self, line: &str, _cursor: usize, _: &rustyline::Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        self.terminal_lock.mark_editing();
        None
    }
}

/// The terminal's settings at the start. Dropping restores them if the terminal is still in raw
/// mode.
struct SavedTerminal {
    #[cfg(unix)]
    settings: Option<rustix::termios::Termios>,
}

impl SavedTerminal {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            settings: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
            // An editor that has ended has already restored the settings.
            let Some(settings) = &self.settings else { return };
            let is_raw = tcgetattr(io::stdin()).is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON));
            if is_raw {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
                // Turn off bracketed paste and erase the prompt.
                let _ = io::stdout().write_all(b"\x1b[?2004l\r\x1b[J");
                let _ = io::stdout().flush();
            }
        }
    }
}
