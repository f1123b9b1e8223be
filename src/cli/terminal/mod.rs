//! Text for the terminal: standard output ([`stdout`]), text from elsewhere made safe to show ([`escape`]), and
//! words quoted for a shell ([`shell`]).

pub(in crate::cli) mod escape;
pub(in crate::cli) mod shell;
pub(in crate::cli) mod stdout;
