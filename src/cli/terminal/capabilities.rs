//! The abilities of the terminal, by the environment.

/// Returns true if `TERM` names a terminal that cannot move its cursor. rustyline leaves line
/// editing to the kernel on the same ones.
pub(in crate::cli) fn is_dumb() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    ["dumb", "cons25", "emacs"].iter().any(|dumb| term.eq_ignore_ascii_case(dumb))
}
