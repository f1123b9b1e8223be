//! Telnet commands in lines of text (RFC 854): removed, so that a telnet client can send lines to a
//! service that does not speak telnet.
//!
//! The functions keep no state between lines. A subnegotiation, the only command that may contain
//! a line feed, follows a reply that no service sends (RFC 855).

use std::borrow::Cow;

use encoding_rs::Encoding;

/// "Interpret as command", the first byte of each command. Twice, it is the data byte 255.
const IAC: u8 = 255;
/// The start of a subnegotiation, which ends with `IAC SUBNEGOTIATION_END`.
const SUBNEGOTIATION: u8 = 250;
const SUBNEGOTIATION_END: u8 = 240;
/// The first command, by number: end of file (RFC 1184).
const FIRST_COMMAND: u8 = 236;
/// The options above this number are not assigned, except 255.
const MAX_OPTION: u8 = 49;

/// Removes telnet commands from a line of text in `encoding`.
///
/// In most encodings, byte 255 begins no character. In some, such as windows-1251, it is a letter,
/// and a program other than a telnet client may send it once. There, commands are removed only from
/// a line with an option negotiation, which text does not resemble. `IAC IAC` is one byte 255 in
/// each encoding.
pub(crate) fn strip_commands<'a>(line: &'a [u8], encoding: &'static Encoding) -> Cow<'a, [u8]> {
    if memchr::memchr(IAC, line).is_none() {
        return line.into();
    }
    let is_letter = encoding.decode_without_bom_handling_and_without_replacement(&[IAC]).is_some();
    let has_commands = !is_letter || has_negotiation(line);
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(IAC, rest) {
        let (before, command) = rest.split_at(at);
        text.extend_from_slice(before);
        let command_bytes = match command.get(1) {
            Some(&IAC) => {
                text.push(IAC);
                2
            }
            Some(FIRST_COMMAND..) | None if has_commands => command_bytes(command),
            _ => {
                text.push(IAC);
                1
            }
        };
        rest = command.get(command_bytes..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text.into()
}

/// Returns the length of the command at the start of `bytes`.
fn command_bytes(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(&SUBNEGOTIATION) => {
            let end = memchr::memmem::find(bytes, &[IAC, SUBNEGOTIATION_END]);
            end.map_or(bytes.len(), |end| end + 2)
        }
        // WILL, WON'T, DO and DON'T have one option byte after the command.
        Some(251..=254) => 3,
        _ => 2,
    }
}

/// Returns true if a line has a WILL, WON'T, DO or DON'T with its option, or a subnegotiation.
fn has_negotiation(line: &[u8]) -> bool {
    line.windows(3).any(|bytes| {
        // Option 13 is obsolete, and a carriage return may end the line.
        matches!(*bytes, [IAC, SUBNEGOTIATION..=254, option] if option <= MAX_OPTION && option != b'\r')
    })
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, GB18030, GBK, SHIFT_JIS, UTF_8, WINDOWS_1251, WINDOWS_1252};

    use super::*;

    const ENCODINGS: [&Encoding; 7] = [UTF_8, GBK, GB18030, BIG5, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252];

    #[test]
    fn commands_are_removed_in_each_encoding() {
        for encoding in ENCODINGS {
            for (line, text) in [
                (&b"hello"[..], &b"hello"[..]),
                (b"\xff\xfb\x1f\xff\xfd\x03hel\xff\xf1lo", b"hello"),
                (b"\xff\xfa\x1f\0\x50\0\x18\xff\xf0hello", b"hello"),
                // `IAC IAC` is a byte of the text.
                (b"\xff\xfd\x03a\xff\xffb", b"a\xffb"),
                (b"a\xff\xffb", b"a\xffb"),
                (b"\xff\xff\xff\xfd\x03", b"\xff"),
                // Cut off at the end of the line.
                (b"a\xff\xfd\x03\xff", b"a"),
                (b"a\xff\xfd\x03\xff\xfb", b"a"),
                (b"a\xff\xfa\x1f", b"a"),
            ] {
                let (line, name) = (line.to_vec(), encoding.name());
                assert_eq!(strip_commands(&line, encoding).as_ref(), text, "{name}: {}", line.escape_ascii());
            }
        }
    }

    #[test]
    fn byte_that_begins_no_command_is_text() {
        for encoding in ENCODINGS {
            assert_eq!(strip_commands(b"a\xffb", encoding).as_ref(), b"a\xffb", "{}", encoding.name());
        }
        assert_eq!(strip_commands(b"a\xff\xf1b", UTF_8).as_ref(), b"ab");
        // "five", "with meat", and a word at the end of the line.
        for word in ["пять", "с мясом", "моя", "моя\r", "им яэ"] {
            let (bytes, ..) = WINDOWS_1251.encode(word);
            assert_eq!(strip_commands(&bytes, WINDOWS_1251), bytes, "{word}");
        }
    }
}
