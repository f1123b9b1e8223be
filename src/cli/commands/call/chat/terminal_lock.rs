//! The lock between the line editor and the printing thread, which both write to the terminal.
//!
//! While a line is edited, rustyline's external printer inserts text above it; otherwise it writes
//! text directly. It chooses before it writes. If the editor started between the choice and the
//! write, the text would follow the prompt on the same line. Text waits while the editor starts.
//! The editor waits while text is printed, at most `PRINT_WAIT` if the editor prints it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum wait of a new line for a print call. A longer call is blocked until the next line:
/// rustyline inserts text only while a line is edited.
const PRINT_WAIT: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EditorState {
    /// No line is being edited.
    Idle,
    /// The editor is about to show its prompt.
    Starting,
    /// A line is being edited.
    Editing,
}

#[derive(Debug)]
struct TerminalLockState {
    editor: EditorState,
    /// True while a print call inserts text above the line, by rustyline's external printer.
    is_printing: bool,
    /// True once the editor must not draw again.
    must_stop: bool,
    /// True once the editor has stopped.
    has_stopped: bool,
}

/// The lock between the line editor and the printing thread.
#[derive(Debug)]
pub(super) struct TerminalLock {
    state: Mutex<TerminalLockState>,
    changed: Condvar,
}

impl TerminalLock {
    pub(super) fn new() -> Self {
        let state =
            TerminalLockState { editor: EditorState::Idle, is_printing: false, must_stop: false, has_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Edits a line with `edit`, which must call [`mark_editing`](Self::mark_editing) before it
    /// shows its prompt.
    pub(super) fn edit<T>(&self, edit: impl FnOnce() -> T) -> T {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), PRINT_WAIT, |state| state.is_printing)
            .unwrap_or_else(PoisonError::into_inner);
        state.editor = EditorState::Starting;
        drop(state);
        let edited = edit();
        self.update_and_notify(|state| state.editor = EditorState::Idle);
        edited
    }

    /// Marks the line as being edited, and wakes waiting print calls.
    pub(super) fn mark_editing(&self) {
        self.update_and_notify(|state| state.editor = EditorState::Editing);
    }

    /// Prints text with `print`, after waiting while the editor starts.
    pub(super) fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        let is_starting = |state: &mut TerminalLockState| state.editor == EditorState::Starting;
        let mut state = self.changed.wait_while(self.lock(), is_starting).unwrap_or_else(PoisonError::into_inner);
        if state.editor == EditorState::Idle {
            // Hold the lock while printing, so that the editor cannot start.
            return print();
        }
        state.is_printing = true;
        drop(state);
        let printed = print();
        self.update_and_notify(|state| state.is_printing = false);
        printed
    }

    /// Blocks forever if the editor must stop. The prompt calls it before each draw.
    pub(super) fn block_if_stopped(&self) {
        let mut state = self.lock();
        state.has_stopped = state.must_stop;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.must_stop));
    }

    /// Stops the editor before it draws again, and waits for that at most `timeout`. Queue text for
    /// the editor before the call: the text makes the editor erase its line and draw again.
    pub(super) fn stop_editor(&self, timeout: Duration) {
        self.update_and_notify(|state| state.must_stop = true);
        let is_active = |state: &mut TerminalLockState| state.editor != EditorState::Idle && !state.has_stopped;
        drop(self.changed.wait_timeout_while(self.lock(), timeout, is_active));
    }

    fn update_and_notify(&self, change: impl FnOnce(&mut TerminalLockState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, TerminalLockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn print_waits_while_the_editor_starts() {
        let terminal_lock = TerminalLock::new();
        let (printed_sender, printed) = channel();
        let (started_sender, started) = channel();
        thread::scope(|scope| {
            let terminal_lock = &terminal_lock;
            scope.spawn(move || {
                terminal_lock.edit(|| {
                    started_sender.send(()).unwrap();
                    // A print call that did not wait would return within this time.
                    assert!(printed.recv_timeout(Duration::from_millis(20)).is_err());
                    terminal_lock.mark_editing();
                    printed.recv().unwrap();
                });
            });
            started.recv().unwrap();
            terminal_lock.print(|| printed_sender.send(()).unwrap());
        });
        // Without an editor, printing does not wait.
        terminal_lock.print(|| ());
    }

    #[test]
    fn editor_waits_while_text_is_printed() {
        let terminal_lock = TerminalLock::new();
        let (printed_sender, printed) = channel();
        let (started_sender, started) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                terminal_lock.print(|| {
                    started_sender.send(()).unwrap();
                    thread::yield_now();
                    printed_sender.send(()).unwrap();
                });
            });
            started.recv().unwrap();
            terminal_lock.edit(|| printed.try_recv().unwrap());
        });
    }

    #[test]
    fn stopped_editor_does_not_draw_again() {
        let terminal_lock = std::sync::Arc::new(TerminalLock::new());
        let (drawn_sender, drawn) = channel();
        let editor = std::sync::Arc::clone(&terminal_lock);
        thread::spawn(move || {
            editor.edit(|| {
                editor.mark_editing();
                while drawn_sender.send(()).is_ok() {
                    editor.block_if_stopped();
                }
            });
        });
        drawn.recv().unwrap();
        terminal_lock.stop_editor(Duration::from_mins(1));
        while drawn.try_recv().is_ok() {}
        assert!(drawn.recv_timeout(Duration::from_millis(20)).is_err());
        // Without an editor, stopping does not wait.
        TerminalLock::new().stop_editor(Duration::from_mins(1));
    }

    #[test]
    fn blocked_print_continues_with_the_next_line() {
        let terminal_lock = TerminalLock::new();
        let (next_line_sender, next_line) = channel();
        let (started_sender, started) = channel();
        thread::scope(|scope| {
            let terminal_lock = &terminal_lock;
            terminal_lock.edit(|| {
                terminal_lock.mark_editing();
                scope.spawn(move || {
                    terminal_lock.print(|| {
                        started_sender.send(()).unwrap();
                        next_line.recv().unwrap();
                    });
                });
                started.recv().unwrap();
            });
            terminal_lock.edit(|| next_line_sender.send(()).unwrap());
        });
    }
}
