//! Chat at a terminal: what is said appears above the line that is being typed.
//!
//! Three threads: one reads lines, one shows what came, and the driver, which waits for neither. When the session ends by itself,
//! the reader is still in the middle of a line, so the terminal is put back by whoever started it.

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

use super::complete::Seen;
use super::driver::{Driver, thread_failed};
use super::history::{History, MAX_LINES};
use super::input::{Input, User};

use super::screen::Screen;
use super::signals;
use super::turns::Turns;
use crate::cli::error::CliError;

/// Lines that wait to be shown, as while a list of completions is looked at. When they are too many the server has to wait.
const MAX_UNSHOWN: usize = 1024;

/// Lines that are shown with one redrawing of what is typed.
const BATCH: usize = 64;

/// A line that leaves no trace: one up, and down again.
const NOTHING: &str = "\x1b[A\n";

/// How long the end waits for the last lines to be shown.
const LAST_LINES: Duration = Duration::from_millis(300);

/// A terminal's line editor, before anything is read from it.
pub(super) struct Editor {
    lines: rustyline::Editor<Typist, DefaultHistory>,
    history: Option<History>,
    unshown: Option<SyncSender<String>>,
    /// Ends when all is shown.
    shown: Receiver<()>,
    palette: Palette,
    seen: Arc<Mutex<Seen>>,
    turns: Arc<Turns>,
}

/// The editor of this terminal; none, if it is one that cannot move its cursor.
pub(super) fn editor(history: Option<&Path>, palette: Palette) -> Result<Option<Editor>, CliError> {
    let history_failed =
        |path: &Path, error: &io::Error| CliError::Failed(format!("--history {}: {error}", path.display()));
    let (history, old_lines) = match history {
        Some(path) => {
            let (history, lines) = History::open(path).map_err(|error| history_failed(path, &error))?;
            (Some(history), lines)
        }
        None => (None, Vec::new()),
    };
    let failed = |error: ReadlineError| CliError::Failed(format!("cannot use the terminal: {error}"));
    let config = Config::builder().max_history_size(MAX_LINES).map_err(failed)?.auto_add_history(false).build();
    let mut lines = rustyline::Editor::with_config(config).map_err(failed)?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let turns = Arc::new(Turns::new());
    lines.set_helper(Some(Typist { seen: Arc::clone(&seen), turns: Arc::clone(&turns), is_empty: Cell::new(true) }));
    for line in old_lines {
        lines.add_history_entry(line).map_err(failed)?;
    }
    let Ok(printer) = lines.create_external_printer() else { return Ok(None) };
    let (unshown, to_show) = sync_channel(MAX_UNSHOWN);
    let (done, shown) = channel();
    let taken = Arc::clone(&turns);
    let print = move || {
        print(printer, &to_show, &taken);
        drop(done);
    };
    thread::Builder::new().name("screen".into()).spawn(print).map_err(|error| thread_failed(&error))?;
    Ok(Some(Editor { lines, history, unshown: Some(unshown), shown, palette, seen, turns }))
}

impl Editor {
    /// What shows lines above the one that is typed.
    pub(super) fn screen(&mut self) -> Box<dyn Screen> {
        let (unshown, seen) = (self.unshown.take(), Arc::clone(&self.seen));
        Box::new(Above { unshown, palette: self.palette.clone(), seen })
    }
}

/// Reads lines, and runs until the user leaves or the session ends.
pub(super) fn run(driver: Driver, editor: Editor) -> Result<ExitCode, CliError> {
    let inputs = driver.inputs();
    signals::watch(&inputs, true)?;
    let before = Before::new();
    let (leave, prompts) = channel();
    let Editor { lines, history, shown, turns, .. } = editor;
    let taken = Arc::clone(&turns);
    let read = move || read_lines(lines, history, &taken, &prompts, &inputs);
    thread::Builder::new().name("input".into()).spawn(read).map_err(|error| thread_failed(&error))?;
    let ended = driver.run(&User { leave, lines: 1, is_person: true });
    // The driver and its screen are gone, so what is left to show is all there will be.
    let _ = shown.recv_timeout(LAST_LINES);
    turns.close(LAST_LINES);
    drop(before);
    ended
}

fn read_lines(
    mut lines: rustyline::Editor<Typist, DefaultHistory>,
    mut history: Option<History>,
    turns: &Turns,
    prompts: &Receiver<String>,
    inputs: &SyncSender<Input>,
) {
    'lines: while let Ok(prompt) = prompts.recv() {
        let line = loop {
            match turns.edit(|| lines.readline(&Ask { prompt: &prompt, turns })) {
                Ok(line) => break line,
                Err(ReadlineError::Interrupted) if lines.helper().is_some_and(|typist| !typist.is_empty.get()) => {}
                // Something that is not UTF-8 was typed.
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => break 'lines,
            }
        };
        if !line.trim().is_empty() {
            // It is remembered as well as it can be.
            let _ = lines.add_history_entry(line.as_str());
            if let Some(kept) = &mut history
                && let Err(error) = kept.append(&line)
            {
                let why = format!("--history {} is given up: {error}", kept.path().display());
                history = None;
                if inputs.send(Input::Remark(why)).is_err() {
                    return;
                }
            }
        }
        if inputs.send(Input::Text(line)).is_err() {
            return;
        }
    }
    let _ = inputs.send(Input::End);
}

/// Shows what came, many lines at once where many came.
fn print(mut printer: impl ExternalPrinter, to_show: &Receiver<String>, turns: &Turns) {
    while let Ok(mut lines) = to_show.recv() {
        lines.push('\n');
        for line in to_show.try_iter().take(BATCH) {
            lines.push_str(&line);
            lines.push('\n');
        }
        if turns.print(|| printer.print(lines)).is_err() {
            return;
        }
    }
    // The editor takes one text at a time. When it has taken this one, it is at the last of those before it, or past that.
    let _ = turns.print(|| printer.print(NOTHING.to_owned()));
}

/// Puts lines above the one that is typed.
struct Above {
    unshown: Option<SyncSender<String>>,
    palette: Palette,
    seen: Arc<Mutex<Seen>>,
}

impl Above {
    fn line(&self, line: String) -> io::Result<()> {
        let sent = self.unshown.as_ref().map(|unshown| unshown.send(line));
        // Whoever shows lines ends only when the terminal has.
        if let Some(Ok(())) = sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

impl Screen for Above {
    fn payload(&mut self, _payload: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &ChatEvent<'_>) -> io::Result<()> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).learn(event);
        self.line(render(event, &self.palette))
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        self.line(format!("* {line}"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A prompt that knows when it is drawn.
struct Ask<'a> {
    prompt: &'a str,
    turns: &'a Turns,
}

impl Prompt for Ask<'_> {
    fn raw(&self) -> &str {
        self.turns.drawing();
        self.prompt
    }

    fn styled(&self) -> &str {
        self.turns.drawing();
        self.prompt
    }
}

/// What the editor asks about the line that is being typed.
#[derive(Helper, Highlighter, Validator)]
struct Typist {
    seen: Arc<Mutex<Seen>>,
    turns: Arc<Turns>,
    /// Ctrl-C means something else on an empty line, and the editor does not say what it threw away.
    is_empty: Cell<bool>,
}

impl Completer for Typist {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.seen.lock().unwrap_or_else(PoisonError::into_inner).complete(line, cursor))
    }
}

impl Hinter for Typist {
    type Hint = String;

    /// Asked before the line is shown for the first time, and after every change; there is nothing to hint at.
    fn hint(&self, line: &str, _cursor: usize, _: &rustyline::Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        self.turns.begun();
        None
    }
}

/// The terminal as it was before.
struct Before {
    #[cfg(unix)]
    settings: Option<rustix::termios::Termios>,
}

impl Before {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            settings: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
            // Where the editor has ended by itself, it has put all back.
            let Some(settings) = &self.settings else { return };
            let is_edited = tcgetattr(io::stdin()).is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON));
            if is_edited {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
                // The prompt goes, and pasting is no longer marked.
                let _ = io::stdout().write_all(b"\x1b[?2004l\r\x1b[J");
                let _ = io::stdout().flush();
            }
        }
    }
}
