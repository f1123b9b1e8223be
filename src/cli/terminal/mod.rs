//! The terminal, and the pipes in its place: standard output and error ([`stdout`],
//! [`stderr`]), lines from a pipe ([`InputLine`]) or from a line editor ([`LineEditor`]), text from
//! elsewhere made safe to show ([`sanitize`]), words quoted for a shell ([`shell`]), and the
//! decision about colours ([`capabilities`]).

pub(in crate::cli) mod capabilities;
mod input_line;
mod line_editor;
mod line_writer;
mod nonblocking_output;
pub(in crate::cli) mod progress;
pub(in crate::cli) mod sanitize;
mod saved_terminal;
pub(in crate::cli) mod shell;
pub(in crate::cli) mod stderr;
pub(in crate::cli) mod stdout;

use std::io::{self, IsTerminal};

pub(in crate::cli) use input_line::InputLine;
pub(in crate::cli) use line_editor::{EditedLine, EditorHooks, LineEditor, MAX_HISTORY_LINES};
pub(in crate::cli) use saved_terminal::SavedTerminal;

/// Returns true if a person types and reads at a terminal.
pub(in crate::cli) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}
