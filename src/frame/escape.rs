//! Escapes text from peers for display on a terminal.
//!
//! Control sequences in received text could clear the screen, rename the window, reorder the line,
//! or make the terminal type a reply. Every control character is therefore replaced by its Rust
//! escape, such as `\u{1b}`.

use std::borrow::Cow;
use std::fmt::Write;

/// The indent of each line of a text after the first, so that a sender cannot imitate a line of
/// another sender.
pub(crate) const CONTINUATION_INDENT: &str = "    ";

/// Characters of a peer's text in a line of the log.
const MAX_EXCERPT_CHARS: usize = 200;

/// Escapes a text of several lines: control characters except the tab, and characters that change
/// the writing direction. Lines after the first are indented. Text without such characters is
/// borrowed.
///
/// ```
/// use switchboard::escape::text;
/// assert_eq!(text("red: \u{1b}[31m"), r"red: \u{1b}[31m");
/// assert_eq!(text("one\ntwo"), "one\n    two");
/// ```
pub fn text(text: &str) -> Cow<'_, str> {
    let escaped = escape(text, |c| matches!(c, '\n' | '\t') || !controls_terminal(c));
    if escaped.contains('\n') { escaped.replace('\n', &format!("\n{CONTINUATION_INDENT}")).into() } else { escaped }
}

/// Escapes text for one line, such as a nick or a room name: as [`text`](fn@text), and line feeds
/// and tabs as well.
///
/// ```
/// use switchboard::escape::line;
/// assert_eq!(line("one\n\ttwo"), r"one\n\ttwo");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |c| !controls_terminal(c))
}

/// Escapes text of a peer for a line of the log, as [`line()`] does, and cuts it at 200 characters.
///
/// ```
/// use switchboard::escape::excerpt;
/// assert_eq!(excerpt("one\ttwo"), r"one\ttwo");
/// assert_eq!(excerpt(&"x".repeat(1000)).chars().count(), 201);
/// ```
pub fn excerpt(text: &str) -> Cow<'_, str> {
    let (start, _) = text.char_indices().nth(MAX_EXCERPT_CHARS).map_or((text, ""), |(end, _)| text.split_at(end));
    let escaped = line(start);
    match escaped.char_indices().nth(MAX_EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", escaped.split_at(end).0).into(),
        None if start.len() < text.len() => format!("{escaped}…").into(),
        None => escaped,
    }
}

/// Formats bytes as two lowercase hexadecimal digits each.
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

fn controls_terminal(c: char) -> bool {
    // The marks, overrides, embeddings and isolates of Unicode's bidirectional algorithm, and the
    // line and paragraph separators, which some terminals treat as line feeds.
    let changes_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || changes_direction
}

fn escape(text: &str, is_verbatim: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&is_verbatim) {
        return text.into();
    }
    let mut escaped = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if is_verbatim(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_default());
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
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
