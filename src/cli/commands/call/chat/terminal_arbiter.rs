//! Who may write on the terminal: the line editor, or whoever shows what came.
//!
//! While a line is edited, the editor's own printer puts text above it; while none is, it writes as it is told to. Which of the two it
//! does it decides before it writes, and the editor may begin in between: then a message would stand behind the prompt. So nothing is
//! written while the editor begins, and it does not begin while something is being written.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a printer that began while a line was edited may take before the next one. One that takes longer is waiting for that
/// next line, which is where it will put its text.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Editor {
    /// No line is edited.
    Away,
    /// It is about to show its prompt.
    Coming,
    /// A line is edited.
    There,
}

#[derive(Debug)]
struct State {
    editor: Editor,
    /// Whether the editor's printer is at work above a line.
    printing: bool,
    /// Whether the editor is to draw nothing more.
    closing: bool,
    /// Whether it has stopped.
    closed: bool,
}

/// The two sides' agreement.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

impl Turns {
    pub(super) fn new() -> Self {
        let state = State { editor: Editor::Away, printing: false, closing: false, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Edits a line with `edit`, which calls [`begun`](Self::begun) before it shows its prompt.
    pub(super) fn edit<T>(&self, edit: impl FnOnce() -> T) -> T {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |state| state.printing)
            .unwrap_or_else(PoisonError::into_inner);
        state.editor = Editor::Coming;
        drop(state);
        let edited = edit();
        self.set(|state| state.editor = Editor::Away);
        edited
    }

    /// The editor has the terminal now.
    pub(super) fn begun(&self) {
        self.set(|state| state.editor = Editor::There);
    }

    /// Shows something with `print`, when the editor is either there or away.
    pub(super) fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        let coming = |state: &mut State| state.editor == Editor::Coming;
        let mut state = self.changed.wait_while(self.lock(), coming).unwrap_or_else(PoisonError::into_inner);
        if state.editor == Editor::Away {
            // Held all the while, so that the editor does not come.
            return print();
        }
        state.printing = true;
        drop(state);
        let printed = print();
        self.set(|state| state.printing = false);
        printed
    }

    /// The editor is about to draw its prompt. When it is to draw no more it does not come back from here.
    pub(super) fn drawing(&self) {
        let mut state = self.lock();
        state.closed = state.closing;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.closing));
    }

    /// Has the editor stop before it draws again, which it does when it is given something to show; waits for that no longer than
    /// `limit`. The line that was edited is gone from the terminal then.
    pub(super) fn close(&self, limit: Duration) {
        self.set(|state| state.closing = true);
        let still = |state: &mut State| state.editor != Editor::Away && !state.closed;
        drop(self.changed.wait_timeout_while(self.lock(), limit, still));
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_printed_while_the_editor_begins() {
        let turns = Turns::new();
        let (told, tell) = channel();
        let (begun, wait) = channel();
        thread::scope(|scope| {
            let turns = &turns;
            scope.spawn(move || {
                turns.edit(|| {
                    begun.send(()).unwrap();
                    // Time enough for one who does not wait.
                    assert!(tell.recv_timeout(Duration::from_millis(20)).is_err());
                    turns.begun();
                    tell.recv().unwrap();
                });
            });
            wait.recv().unwrap();
            turns.print(|| told.send(()).unwrap());
        });
        // With nobody there it is printed at once.
        turns.print(|| ());
    }

    #[test]
    fn the_editor_waits_for_what_is_printed_without_it() {
        let turns = Turns::new();
        let (printed, is_printed) = channel();
        let (began, has_begun) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                turns.print(|| {
                    began.send(()).unwrap();
                    thread::yield_now();
                    printed.send(()).unwrap();
                });
            });
            has_begun.recv().unwrap();
            turns.edit(|| is_printed.try_recv().unwrap());
        });
    }

    #[test]
    fn a_closed_editor_draws_no_more() {
        let turns = std::sync::Arc::new(Turns::new());
        let (draw, is_drawn) = channel();
        let edited = std::sync::Arc::clone(&turns);
        thread::spawn(move || {
            edited.edit(|| {
                edited.begun();
                while draw.send(()).is_ok() {
                    edited.drawing();
                }
            });
        });
        is_drawn.recv().unwrap();
        turns.close(Duration::from_mins(1));
        while is_drawn.try_recv().is_ok() {}
        assert!(is_drawn.recv_timeout(Duration::from_millis(20)).is_err());
        // Where none is at work, there is nothing to wait for.
        Turns::new().close(Duration::from_mins(1));
    }

    #[test]
    fn a_printer_that_waits_for_the_next_line_gets_it() {
        let turns = Turns::new();
        let (next, line) = channel();
        let (began, has_begun) = channel();
        thread::scope(|scope| {
            let turns = &turns;
            turns.edit(|| {
                turns.begun();
                scope.spawn(move || {
                    turns.print(|| {
                        began.send(()).unwrap();
                        line.recv().unwrap();
                    });
                });
                has_begun.recv().unwrap();
            });
            turns.edit(|| next.send(()).unwrap());
        });
    }
}
