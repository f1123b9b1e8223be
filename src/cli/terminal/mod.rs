//! Text for the terminal: standard output ([`stdout`]), text from elsewhere made safe to show
//! ([`sanitize`]), and words quoted for a shell ([`shell`]).

pub(in crate::cli) mod sanitize;
pub(in crate::cli) mod shell;
pub(in crate::cli) mod stdout;
