//! What others wrote, as a terminal may be shown it: nothing in it commands the terminal. Knows neither file nor socket.

use std::ffi::OsStr;
use std::fmt::Write;

use switchboard::escape;

/// A file's name in a sentence: one line, whatever is in it.
pub(in crate::cli) fn file_name(name: impl AsRef<OsStr>) -> String {
    escape::line(&name.as_ref().to_string_lossy()).into_owned()
}

/// A stream of bytes, piece by piece. This is what is between two of them.
#[derive(Debug, Default)]
pub(in crate::cli) struct StreamSanitizer {
    /// The beginning of a character, or a carriage return, of which more may come.
    unfinished: Vec<u8>,
}

impl StreamSanitizer {
    /// The next piece as text: line feeds and tabs stay, CRLF is a line feed, other control characters are spelt out, and so is
    /// what is no UTF-8.
    pub(in crate::cli) fn show(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.unfinished);
        all.extend_from_slice(bytes);
        let whole = all.len() - unfinished(&all);
        self.unfinished = all.split_off(whole);
        shown(&all)
    }

    /// What had begun and will not end.
    pub(in crate::cli) fn finish(&mut self) -> String {
        shown(&std::mem::take(&mut self.unfinished))
    }
}

/// Bytes at the end that more may follow which belong to them.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    match bytes.utf8_chunks().last().map(|chunk| chunk.invalid()) {
        // An invalid piece that ends early is shorter than its first byte says.
        Some(cut @ [first, ..]) if cut.len() < sequence_bytes(*first) => cut.len(),
        _ => 0,
    }
}

/// As many bytes as the character has that begins so.
fn sequence_bytes(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

fn shown(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for piece in chunk.valid().replace("\r\n", "\n").split_inclusive(['\n', '\t']) {
            let words = piece.trim_end_matches(['\n', '\t']);
            shown += &escape::line(words);
            shown += piece.get(words.len()..).unwrap_or_default();
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word() {
        assert_eq!(file_name("esc\u{1b}[31mred\n你"), "esc\\u{1b}[31mred\\n你");
    }

    #[test]
    fn nothing_commands_the_terminal_however_it_is_cut() {
        let bytes = "né 你好\r\n\tred: \u{1b}[31m\rback \u{202e}turned 🦀\n".as_bytes();
        let expected = "né 你好\n\tred: \\u{1b}[31m\\rback \\u{202e}turned 🦀\n";
        for at in 0..=bytes.len() {
            let mut screen = StreamSanitizer::default();
            let (first, second) = bytes.split_at(at);
            assert_eq!(screen.show(first) + &screen.show(second) + &screen.finish(), expected, "{at}");
        }
    }

    #[test]
    fn what_is_no_text_is_spelt_out_and_never_kept_for_long() {
        let mut screen = StreamSanitizer::default();
        assert_eq!(screen.show(b"a\xffb\x00"), "a\\xffb\\u{0}");
        assert_eq!(screen.show(b"\xe4\xbd"), "");
        assert_eq!(screen.show(b"x\r"), "\\xe4\\xbdx");
        assert_eq!(screen.finish(), "\\r");
        for _ in 0..10 {
            screen.show(&[0xf0; 100]);
            assert!(screen.unfinished.len() < 4);
        }
    }
}
