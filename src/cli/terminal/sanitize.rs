//! Text from elsewhere, made safe to show: it holds no control sequence for the terminal. This file
//! knows neither files nor sockets.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;

use switchboard::escape;

/// Returns a file's name for use in a sentence, on one line and with control characters escaped.
pub(in crate::cli) fn file_name(name: impl AsRef<OsStr>) -> String {
    escape::line(&name.as_ref().to_string_lossy()).into_owned()
}

/// Returns the first `max_chars` characters of a text, escaped for a message; `…` stands for the
/// rest.
pub(in crate::cli) fn excerpt(text: &str, max_chars: usize) -> String {
    let (start, rest) = text.split_at(text.char_indices().nth(max_chars).map_or(text.len(), |(at, _)| at));
    format!("{}{}", escape::line(start), if rest.is_empty() { "" } else { "…" })
}

/// Replaces characters that control a terminal with JSON escapes of the same meaning.
pub(in crate::cli) fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Every escaped character is in the Basic Multilingual Plane, so four hexadecimal digits
        // suffice.
        match escape::line(c.encode_utf8(&mut [0; 4])) {
            Cow::Borrowed(plain) => out.push_str(plain),
            // Writing to a String cannot fail.
            Cow::Owned(_) => _ = write!(out, "\\u{:04x}", u32::from(c)),
        }
    }
    out
}

/// A filter for a stream of bytes. It holds what one piece left unfinished.
#[derive(Debug, Default)]
pub(in crate::cli) struct StreamSanitizer {
    /// An incomplete UTF-8 character, or a carriage return that a line feed may follow.
    unfinished: Vec<u8>,
}

impl StreamSanitizer {
    /// Returns the next piece as text. Line feeds and tabs stay, and CR LF becomes a line feed.
    /// Other control characters and invalid UTF-8 are escaped.
    pub(in crate::cli) fn show(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.unfinished);
        all.extend_from_slice(bytes);
        let complete = all.len() - unfinished_bytes(&all);
        self.unfinished = all.split_off(complete);
        sanitized(&all)
    }

    /// Returns the unfinished rest at the end of the stream.
    pub(in crate::cli) fn finish(&mut self) -> String {
        sanitized(&std::mem::take(&mut self.unfinished))
    }
}

/// Returns the number of bytes at the end whose meaning depends on the next piece.
fn unfinished_bytes(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    // An error without a length is a character that is cut off at the end.
    let is_cut = |invalid: &&[u8]| std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
    bytes.utf8_chunks().last().map(|chunk| chunk.invalid()).filter(is_cut).map_or(0, <[u8]>::len)
}

fn sanitized(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for piece in chunk.valid().replace("\r\n", "\n").split_inclusive(['\n', '\t']) {
            let words = piece.trim_end_matches(['\n', '\t']);
            shown += &escape::line(words);
            shown += piece.get(words.len()..).unwrap_or_default();
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_is_one_line() {
        assert_eq!(file_name("esc\u{1b}[31mred\n你"), "esc\\u{1b}[31mred\\n你");
    }

    #[test]
    fn excerpt_is_cut_between_characters() {
        assert_eq!(excerpt("世界\n", 3), "世界\\n");
        assert_eq!(excerpt("世界\n", 2), "世界…");
    }

    #[test]
    fn escaped_json_has_the_same_meaning() {
        let plain = serde_json::to_string("\u{9b}31m\u{202e}\u{1b}é\"").unwrap();
        let escaped = json(&plain);
        assert_eq!(escaped, r#""\u009b31m\u202e\u001bé\"""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), "\u{9b}31m\u{202e}\u{1b}é\"");
    }

    #[test]
    fn control_sequences_are_escaped_however_split() {
        let bytes = "né 你好\r\n\tred: \u{1b}[31m\rback \u{202e}turned 🦀\n".as_bytes();
        let expected = "né 你好\n\tred: \\u{1b}[31m\\rback \\u{202e}turned 🦀\n";
        for at in 0..=bytes.len() {
            let mut sanitizer = StreamSanitizer::default();
            let (first, second) = bytes.split_at(at);
            assert_eq!(sanitizer.show(first) + &sanitizer.show(second) + &sanitizer.finish(), expected, "{at}");
        }
    }

    #[test]
    fn invalid_utf8_is_escaped_and_not_kept() {
        let mut sanitizer = StreamSanitizer::default();
        assert_eq!(sanitizer.show(b"a\xffb\x00"), "a\\xffb\\u{0}");
        assert_eq!(sanitizer.show(b"\xe4\xbd"), "");
        assert_eq!(sanitizer.show(b"x\r"), "\\xe4\\xbdx");
        assert_eq!(sanitizer.finish(), "\\r");
        for _ in 0..10 {
            sanitizer.show(&[0xf0; 100]);
            assert!(sanitizer.unfinished.len() < 4);
        }
    }
}
