//! Arbitration of the terminal between the line editor and the thread that prints messages.
//!
//! While a line is edited, the editor's external printer inserts text above it; otherwise the
//! printer writes text directly. The printer chooses before it writes. If the editor started in
//! between, a message would appear behind the prompt. So the two exclude each other: text is not
//! printed while the editor starts, and the editor does not start while text is printed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The wait for text that is being printed above the previous line. A printer that takes longer is
/// waiting for the next line, above which it will insert its text.
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
struct ArbiterState {
    editor: EditorState,
    /// True while the editor's printer inserts text above the line.
    is_printing: bool,
    /// True once the editor must not draw again.
    must_stop: bool,
    /// True once the editor has stopped.
    has_stopped: bool,
}

/// The lock that the line editor and the printing thread share.
#[derive(Debug)]
pub(super) struct TerminalArbiter {
    state: Mutex<ArbiterState>,
    changed: Condvar,
}

impl TerminalArbiter {
    pub(super) fn new() -> Self {
        let state =
            ArbiterState { editor: EditorState::Idle, is_printing: false, must_stop: false, has_stopped: false };
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
        self.update(|state| state.editor = EditorState::Idle);
        edited
    }

    /// Marks the editor as started.
    pub(super) fn mark_editing(&self) {
        self.update(|state| state.editor = EditorState::Editing);
    }

    /// Prints text with `print`, after waiting while the editor starts.
    pub(super) fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        let is_starting = |state: &mut ArbiterState| state.editor == EditorState::Starting;
        let mut state = self.changed.wait_while(self.lock(), is_starting).unwrap_or_else(PoisonError::into_inner);
        if state.editor == EditorState::Idle {
            // Hold the lock while printing, so that the editor cannot start.
            return print();
        }
        state.is_printing = true;
        drop(state);
        let printed = print();
        self.update(|state| state.is_printing = false);
        printed
    }

    /// Must be called before the editor draws its prompt. Blocks forever after
    /// [`stop_editor`](Self::stop_editor), so that the editor cannot draw again.
    pub(super) fn before_draw(&self) {
        let mut state = self.lock();
        state.has_stopped = state.must_stop;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.must_stop));
    }

    /// Stops the editor before it draws again, and waits for that at most `limit`. The caller must
    /// print something, because only then does the editor erase its line and draw again.
    pub(super) fn stop_editor(&self, limit: Duration) {
        self.update(|state| state.must_stop = true);
        let is_active = |state: &mut ArbiterState| state.editor != EditorState::Idle && !state.has_stopped;
        drop(self.changed.wait_timeout_while(self.lock(), limit, is_active));
    }

    fn update(&self, change: impl FnOnce(&mut ArbiterState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, ArbiterState> {
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
        let arbiter = TerminalArbiter::new();
        let (print_done, is_printed) = channel();
        let (starting, has_started) = channel();
        thread::scope(|scope| {
            let arbiter = &arbiter;
            scope.spawn(move || {
                arbiter.edit(|| {
                    starting.send(()).unwrap();
                    // A printer that did not wait would finish within this time.
                    assert!(is_printed.recv_timeout(Duration::from_millis(20)).is_err());
                    arbiter.mark_editing();
                    is_printed.recv().unwrap();
                });
            });
            has_started.recv().unwrap();
            arbiter.print(|| print_done.send(()).unwrap());
        });
        // Without an editor, printing does not wait.
        arbiter.print(|| ());
    }

    #[test]
    fn editor_waits_while_text_is_printed() {
        let arbiter = TerminalArbiter::new();
        let (print_done, is_printed) = channel();
        let (printing, has_started) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                arbiter.print(|| {
                    printing.send(()).unwrap();
                    thread::yield_now();
                    print_done.send(()).unwrap();
                });
            });
            has_started.recv().unwrap();
            arbiter.edit(|| is_printed.try_recv().unwrap());
        });
    }

    #[test]
    fn stopped_editor_does_not_draw_again() {
        let arbiter = std::sync::Arc::new(TerminalArbiter::new());
        let (draw, is_drawn) = channel();
        let editor = std::sync::Arc::clone(&arbiter);
        thread::spawn(move || {
            editor.edit(|| {
                editor.mark_editing();
                while draw.send(()).is_ok() {
                    editor.before_draw();
                }
            });
        });
        is_drawn.recv().unwrap();
        arbiter.stop_editor(Duration::from_mins(1));
        while is_drawn.try_recv().is_ok() {}
        assert!(is_drawn.recv_timeout(Duration::from_millis(20)).is_err());
        // Without an editor, stopping does not wait.
        TerminalArbiter::new().stop_editor(Duration::from_mins(1));
    }

    #[test]
    fn printer_waiting_for_the_next_line_gets_it() {
        let arbiter = TerminalArbiter::new();
        let (next_line, line) = channel();
        let (printing, has_started) = channel();
        thread::scope(|scope| {
            let arbiter = &arbiter;
            arbiter.edit(|| {
                arbiter.mark_editing();
                scope.spawn(move || {
                    arbiter.print(|| {
                        printing.send(()).unwrap();
                        line.recv().unwrap();
                    });
                });
                has_started.recv().unwrap();
            });
            arbiter.edit(|| next_line.send(()).unwrap());
        });
    }
}
