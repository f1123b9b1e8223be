//! Text of others as a terminal may show it.
//!
//! Nothing that somebody else wrote may command the terminal: it could clear the screen, rename the window, turn lines round, or
//! have the terminal type an answer. So every character that is not merely shown is spelt out, wherever it comes from.

use std::borrow::Cow;
use std::fmt::Write;

/// Before each line of a text but its first, so that nobody can write a line that looks like somebody else's.
pub(crate) const CONTINUED: &str = "    ";

/// A text as it can be shown: control characters but the tab, and those that turn the direction of writing, are spelt out, and
/// lines but the first are indented. What is harmless is borrowed.
///
/// ```
/// use switchboard::escape::text;
/// assert_eq!(text("red: \u{1b}[31m"), r"red: \u{1b}[31m");
/// assert_eq!(text("one\ntwo"), "one\n    two");
/// ```
pub fn text(text: &str) -> Cow<'_, str> {
    spell_out(text, |c| match c {
        '\n' => Shown::LineBreak,
        '\t' => Shown::AsIs,
        _ => Shown::of(c),
    })
}

/// As [`text`], for what belongs into one line: a nick, a room, a remark. Line feeds and tabs are spelt out, too.
///
/// ```
/// use switchboard::escape::line;
/// assert_eq!(line("one\n\ttwo"), r"one\n\ttwo");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    spell_out(text, Shown::of)
}

/// Bytes as two hexadecimal digits each.
///
/// ```
/// assert_eq!(switchboard::escape::hex(&[0, 0xc4]), "00c4");
/// ```
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What becomes of a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    AsIs,
    LineBreak,
    Spelt,
}

impl Shown {
    fn of(c: char) -> Self {
        // Next to control characters: the marks, overrides, embeddings and isolates of Unicode's bidirectional algorithm, and its
        // two separators, which some terminals take for line feeds.
        let turns = matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if c.is_control() || turns { Self::Spelt } else { Self::AsIs }
    }
}

fn spell_out(text: &str, shown: impl Fn(char) -> Shown) -> Cow<'_, str> {
    if text.chars().all(|c| shown(c) == Shown::AsIs) {
        return text.into();
    }
    let mut spelt = String::with_capacity(2 * text.len());
    for c in text.chars() {
        match shown(c) {
            Shown::AsIs => spelt.push(c),
            Shown::LineBreak => {
                spelt.push('\n');
                spelt.push_str(CONTINUED);
            }
            // Writing to a string does not fail.
            Shown::Spelt => _ = write!(spelt, "{}", c.escape_default()),
        }
    }
    spelt.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_passed_on() {
        for (text, shown) in [
            ("", ""),
            ("plain text, Grüße, 你好, 👩‍🚀\ta tab", "plain text, Grüße, 你好, 👩‍🚀\ta tab"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J\u{85}\u{80}\u{9f}", r"\u{9b}2J\u{85}\u{80}\u{9f}"),
            ("a\rb\u{8}\u{7f}\0", r"a\rb\u{8}\u{7f}\u{0}"),
            ("one\ntwo\n\nfour", "one\n    two\n    \n    four"),
            ("one\r\ntwo", "one\\r\n    two"),
            ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", r"\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}"),
            ("\u{2066}\u{2067}\u{2068}\u{2069}", r"\u{2066}\u{2067}\u{2068}\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}\u{2028}\u{2029}", r"\u{200e}\u{200f}\u{61c}\u{2028}\u{2029}"),
            (r"a \u{1b} that was typed", r"a \u{1b} that was typed"),
        ] {
            assert_eq!(super::text(text), shown);
            assert_eq!(matches!(super::text(text), Cow::Borrowed(_)), text == shown, "{text:?}");
        }
        for c in (0..=0x2100).filter_map(char::from_u32).filter(|c| c.is_control()) {
            assert!(line(&c.to_string()).chars().all(|c| c.is_ascii_graphic()), "{c:?}");
        }
    }
}
