//! Lines of standard input that is not a terminal.

use std::io::{self, BufRead, Read};

use super::sanitize;

/// The longest line that is read, in bytes, without its end.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Bytes of the longest line with its end, CR LF.
const MAX_READ_BYTES: u64 = MAX_LINE_BYTES as u64 + 2;

/// The characters of an invalid line that the reason quotes.
const MAX_EXCERPT_CHARS: usize = 60;

/// The result of reading one line.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum InputLine {
    Text(String),
    /// A line that cannot be sent, for this reason.
    Invalid(String),
    End,
}

impl InputLine {
    /// Reads a line that ends with LF, CRLF or the end of the input.
    ///
    /// # Errors
    /// The system's error.
    pub(in crate::cli) fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut line = Vec::new();
        if from.take(MAX_READ_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(Self::End);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > MAX_LINE_BYTES {
            // Skip the rest of the line in pieces.
            while !line.is_empty() && !line.ends_with(b"\n") {
                line.clear();
                from.take(MAX_READ_BYTES).read_until(b'\n', &mut line)?;
            }
            return Ok(Self::Invalid(format!("not sent: a line is longer than {MAX_LINE_BYTES} bytes")));
        }
        Ok(match std::str::from_utf8(text) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Invalid(format!(
                "not sent: a line is not UTF-8: {}; convert it with iconv",
                sanitize::excerpt(&text.escape_ascii().to_string(), MAX_EXCERPT_CHARS)
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> Vec<InputLine> {
        let mut lines = Vec::new();
        while lines.last() != Some(&InputLine::End) {
            lines.push(InputLine::read(&mut bytes).unwrap());
        }
        lines
    }

    fn text(line: &str) -> InputLine {
        InputLine::Text(line.to_owned())
    }

    #[test]
    fn line_ends_with_lf_crlf_or_end_of_input() {
        let lines = [text("one"), text("two"), text(""), text("last"), InputLine::End];
        assert_eq!(read_all(b"one\ntwo\r\n\nlast"), lines);
        assert_eq!(read_all(b""), [InputLine::End]);
    }

    #[test]
    fn invalid_line_is_reported_and_the_next_is_read() {
        let [InputLine::Invalid(reason), next, InputLine::End] = &read_all(b"\xffx\nok\n")[..] else { panic!() };
        assert_eq!(reason, "not sent: a line is not UTF-8: \\xffx; convert it with iconv");
        assert_eq!(*next, text("ok"));
    }

    #[test]
    fn line_of_exactly_the_limit_is_read() {
        for end in ["\n", "\r\n", ""] {
            let longest = "x".repeat(1 << 20);
            let rest = if end.is_empty() { "" } else { "ok\n" };
            let mut lines = vec![text(&longest)];
            lines.extend((!rest.is_empty()).then(|| text("ok")));
            lines.push(InputLine::End);
            assert!(read_all(format!("{longest}{end}{rest}").as_bytes()) == lines, "{end:?}");
            for more in [1, 2, 3, 1 << 20, 2 << 20] {
                let longer = "x".repeat((1 << 20) + more);
                let mut lines = read_all(format!("{longer}{end}{rest}").as_bytes());
                let InputLine::Invalid(reason) = lines.remove(0) else { panic!("{more} bytes over the limit") };
                assert_eq!(reason, "not sent: a line is longer than 1048576 bytes");
                assert_eq!(lines.len(), 1 + usize::from(!rest.is_empty()), "{more} {end:?}");
            }
        }
        // A carriage return inside of a line is text.
        let middle = format!("{}\rx\n", "x".repeat((1 << 20) - 1));
        assert!(matches!(&read_all(middle.as_bytes())[..], [InputLine::Invalid(_), InputLine::End]));
    }
}
