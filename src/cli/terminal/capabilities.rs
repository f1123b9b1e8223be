//! The abilities of the terminal: whether output has colours, and whether it may move the cursor.
//! Every output of the program asks here.

use std::io::IsTerminal;

use clap::ColorChoice;

/// Returns true if `TERM` names a terminal that cannot move its cursor. rustyline leaves line
/// editing to the kernel on the same ones.
pub(in crate::cli) fn is_dumb() -> bool {
    is_dumb_term(&variable("TERM"))
}

/// Returns true if `stream` is a terminal on which text can be redrawn, such as a progress bar.
pub(in crate::cli) fn can_redraw(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb()
}

/// Returns true if output to `stream` has colours.
pub(in crate::cli) fn has_colors(stream: &impl IsTerminal) -> bool {
    wants_colors(variable, stream.is_terminal())
}

/// Returns the choice for clap, which itself finds out whether its output goes to a terminal.
pub(in crate::cli) fn help_colors() -> ColorChoice {
    if wants_colors(variable, true) { ColorChoice::Auto } else { ColorChoice::Never }
}

/// Returns the value of an environment variable; an empty text if it is not set.
fn variable(name: &str) -> String {
    std::env::var_os(name).unwrap_or_default().to_string_lossy().into_owned()
}

/// Applies the rules of <https://no-color.org> and <https://bixense.com/clicolors>.
fn wants_colors(variable: impl Fn(&str) -> String, is_terminal: bool) -> bool {
    if !variable("NO_COLOR").is_empty() {
        return false;
    }
    match (&*variable("CLICOLOR_FORCE"), &*variable("CLICOLOR"), &*variable("TERM")) {
        ("" | "0", "0", _) | ("" | "0", _, "") => false,
        ("" | "0", _, term) => is_terminal && !is_dumb_term(term),
        _ => true,
    }
}

fn is_dumb_term(term: &str) -> bool {
    ["dumb", "cons25", "emacs"].iter().any(|dumb| term.eq_ignore_ascii_case(dumb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_decides_about_colors() {
        for (variables, expected) in [
            (&[("TERM", "xterm")][..], true),
            (&[], false),
            (&[("TERM", "dumb")], false),
            (&[("TERM", "Dumb"), ("CLICOLOR", "1")], false),
            (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
            (&[("TERM", "xterm"), ("NO_COLOR", "0")], false),
            (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
            (&[("TERM", "xterm"), ("CLICOLOR", "0")], false),
            (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
            (&[("TERM", "xterm"), ("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "0")], false),
        ] {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
            assert_eq!(wants_colors(|name| value(name).to_owned(), true), expected, "{variables:?}");
            let is_forced = expected && !value("CLICOLOR_FORCE").is_empty();
            assert_eq!(wants_colors(|name| value(name).to_owned(), false), is_forced, "{variables:?}");
        }
    }
}
