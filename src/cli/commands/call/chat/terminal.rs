//! A chat session at a terminal: messages appear above the line being edited.
//!
//! Three threads: the first reads lines, the second prints messages, and the driver waits for
//! neither. If the session ends while a line is being edited, the main thread restores the
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
use super::driver::{SessionDriver, thread_error};
use super::event::{ClientEvent, LinePermits};
use super::history::{HistoryFile, MAX_LINES};
use super::signals;
use super::terminal_arbiter::TerminalArbiter;
use crate::cli::error::CliError;

/// Messages queued for the terminal, for example while a list of completions is open. When the
/// queue is full, the driver waits, and so does the server.
const MAX_QUEUED_LINES: usize = 1024;

/// Messages printed together, with one redraw of the edited line.
const BATCH_LINES: usize = 64;

/// A line that leaves no visible trace: cursor up, then a line feed.
const INVISIBLE_LINE: &str = "\x1b[A\n";

/// The wait for the last messages to be printed at the end.
const FINAL_WAIT: Duration = Duration::from_millis(300);

/// A line editor with its history, and the thread that prints messages above the line.
pub(super) struct ChatEditor {
    editor: rustyline::Editor<ChatLineHelper, DefaultHistory>,
    history: Option<HistoryFile>,
    queue: Option<SyncSender<String>>,
    /// Disconnected once every queued message is printed.
    printer_end: Receiver<()>,
    palette: Palette,
    completer: Arc<Mutex<NameCompleter>>,
    arbiter: Arc<TerminalArbiter>,
}

/// Opens a line editor and starts its printing thread. Returns `None` if the terminal cannot move
/// its cursor.
pub(super) fn open_editor(history: Option<&Path>, palette: Palette) -> Result<Option<ChatEditor>, CliError> {
    let history_error =
        |path: &Path, error: &io::Error| CliError::Failed(format!("--history {}: {error}", path.display()));
    let (history, old_lines) = match history {
        Some(path) => {
            let (history, lines) = HistoryFile::open(path).map_err(|error| history_error(path, &error))?;
            (Some(history), lines)
        }
        None => (None, Vec::new()),
    };
    let failed = |error: ReadlineError| CliError::Failed(format!("cannot use the terminal: {error}"));
    let config = Config::builder().max_history_size(MAX_LINES).map_err(failed)?.auto_add_history(false).build();
    let mut editor = rustyline::Editor::with_config(config).map_err(failed)?;
    let completer = Arc::new(Mutex::new(NameCompleter::default()));
    let arbiter = Arc::new(TerminalArbiter::new());
    editor.set_helper(Some(ChatLineHelper {
        completer: Arc::clone(&completer),
        arbiter: Arc::clone(&arbiter),
        is_empty: Cell::new(true),
    }));
    for line in old_lines {
        editor.add_history_entry(line).map_err(failed)?;
    }
    let Ok(printer) = editor.create_external_printer() else { return Ok(None) };
    let (queue, queued) = sync_channel(MAX_QUEUED_LINES);
    let (end_sender, printer_end) = channel();
    let printer_arbiter = Arc::clone(&arbiter);
    let print = move || {
        print_lines(printer, &queued, &printer_arbiter);
        drop(end_sender);
    };
    thread::Builder::new().name("screen".into()).spawn(print).map_err(|error| thread_error(&error))?;
    Ok(Some(ChatEditor { editor, history, queue: Some(queue), printer_end, palette, completer, arbiter }))
}

impl ChatEditor {
    /// Returns a display that prints above the edited line.
    pub(super) fn display(&mut self) -> Box<dyn ChatDisplay> {
        let (queue, completer) = (self.queue.take(), Arc::clone(&self.completer));
        Box::new(TerminalDisplay { queue, palette: self.palette.clone(), completer })
    }
}

/// Reads lines, and runs until the user leaves or the session ends.
pub(super) fn run(driver: SessionDriver, editor: ChatEditor) -> Result<ExitCode, CliError> {
    let events = driver.event_sender();
    signals::watch(&events, true)?;
    let saved_terminal = SavedTerminal::new();
    let (prompts, permits) = channel();
    let ChatEditor { editor, history, printer_end, arbiter, .. } = editor;
    let input_arbiter = Arc::clone(&arbiter);
    let read = move || read_lines(editor, history, &input_arbiter, &permits, &events);
    thread::Builder::new().name("input".into()).spawn(read).map_err(|error| thread_error(&error))?;
    let result = driver.run(&LinePermits { prompts, max_ahead: 1, is_interactive: true });
    // The driver and its display are dropped, so the queue gets no more messages.
    let _ = printer_end.recv_timeout(FINAL_WAIT);
    arbiter.stop_editor(FINAL_WAIT);
    drop(saved_terminal);
    result
}

/// Reads one line for each permit, whose value is the prompt.
fn read_lines(
    mut editor: rustyline::Editor<ChatLineHelper, DefaultHistory>,
    mut history: Option<HistoryFile>,
    arbiter: &TerminalArbiter,
    permits: &Receiver<String>,
    events: &SyncSender<ClientEvent>,
) {
    'lines: while let Ok(prompt) = permits.recv() {
        let line = loop {
            match arbiter.edit(|| editor.readline(&ArbitratedPrompt { prompt: &prompt, arbiter })) {
                Ok(line) => break line,
                Err(ReadlineError::Interrupted) if editor.helper().is_some_and(|helper| !helper.is_empty.get()) => {}
                // The user typed bytes that are not UTF-8.
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => break 'lines,
            }
        };
        if !line.trim().is_empty() {
            // Ignore the error: the line is still sent, and is missing only among the earlier
            // lines.
            let _ = editor.add_history_entry(line.as_str());
            if let Some(file) = &mut history
                && let Err(error) = file.append(&line)
            {
                let notice = format!("--history {} is no longer written: {error}", file.path().display());
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

/// Prints queued messages, several at once if several are queued.
fn print_lines(mut printer: impl ExternalPrinter, queued: &Receiver<String>, arbiter: &TerminalArbiter) {
    while let Ok(mut lines) = queued.recv() {
        lines.push('\n');
        for line in queued.try_iter().take(BATCH_LINES) {
            lines.push_str(&line);
            lines.push('\n');
        }
        if arbiter.print(|| printer.print(lines)).is_err() {
            return;
        }
    }
    // The editor takes one text at a time. Once it has taken this one, it has printed or is
    // printing the last message.
    let _ = arbiter.print(|| printer.print(INVISIBLE_LINE.to_owned()));
}

/// A display that prints above the edited line.
struct TerminalDisplay {
    queue: Option<SyncSender<String>>,
    palette: Palette,
    completer: Arc<Mutex<NameCompleter>>,
}

impl TerminalDisplay {
    fn print_line(&self, line: String) -> io::Result<()> {
        let sent = self.queue.as_ref().map(|queue| queue.send(line));
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

/// A prompt that calls the arbiter before the editor draws it.
struct ArbitratedPrompt<'a> {
    prompt: &'a str,
    arbiter: &'a TerminalArbiter,
}

impl Prompt for ArbitratedPrompt<'_> {
    fn raw(&self) -> &str {
        self.arbiter.before_draw();
        self.prompt
    }

    fn styled(&self) -> &str {
        self.arbiter.before_draw();
        self.prompt
    }
}

/// The editor's callbacks for the line being edited.
#[derive(Helper, Highlighter, Validator)]
struct ChatLineHelper {
    completer: Arc<Mutex<NameCompleter>>,
    arbiter: Arc<TerminalArbiter>,
    /// Ctrl-C on an empty line ends the program, and the editor does not return the discarded line.
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

    /// Runs before the line is first drawn and after every change. Gives no hint.
    fn hint(&self, line: &str, _cursor: usize, _: &rustyline::Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        self.arbiter.mark_editing();
        None
    }
}

/// The terminal's settings at the start. Dropping restores them.
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
