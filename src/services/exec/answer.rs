//! What came of a request, in the bytes of each dialect.

use std::time::Duration;

use super::capture::Capture;
use super::run::{End, Ran};
use super::wire::{Dialect, Header, NO_OUTPUT, md5_hex};

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The program, as it was asked for.
    name: String,
    output: Vec<u8>,
    exit_code: Option<i32>,
    truncated: bool,
}

impl Answer {
    /// Words instead of output: nothing was run.
    pub(super) fn refusal(name: String, words: &str) -> Self {
        Self { name, output: remark(words).into(), exit_code: None, truncated: false }
    }

    /// What a command said and how it ended. Where the dialect has no place for the latter, or there was none, it is the last
    /// line of the former.
    pub(super) fn of(name: String, ran: Ran, dialect: Dialect, timeout: Duration, max_bytes: usize) -> Self {
        let Ran { capture, end } = ran;
        let exit_code = if let End::Exited(code) = end { Some(code) } else { None };
        let is_cut = capture.exceeds(max_bytes);
        let last_words = match end {
            End::OutOfTime => Some(format!("killed: it ran for longer than {timeout:?}")),
            _ if is_cut && dialect != Dialect::Header => Some(format!("cut: it said more than {max_bytes} bytes")),
            End::Signalled(signal) => Some(format!("killed by signal {signal}")),
            End::Exited(code) if code != 0 && dialect == Dialect::Length && capture.is_empty() => {
                Some(format!("exit code {code}"))
            }
            End::Cancelled => Some("ended: the server is stopping".to_owned()),
            End::Exited(_) | End::Cut => None,
        };
        let (output, truncated) = end_with(capture, last_words.as_deref(), max_bytes);
        Self { name, output, exit_code, truncated }
    }

    /// The answer as it goes over the wire. In [`Dialect::Ready`] these are the bytes that wait for the client's word.
    pub(super) fn bytes(self, dialect: Dialect) -> Vec<u8> {
        let Self { name, output, exit_code, truncated } = self;
        let head = match dialect {
            Dialect::Length => with_length(&[], output.len()),
            Dialect::Ready if output.is_empty() => NO_OUTPUT.into(),
            Dialect::Ready => return output,
            Dialect::Header => {
                let md5 = md5_hex(&output);
                let total_size = output.len();
                let header = Header { filename: &name, total_size, md5: &md5, exit_code, truncated };
                // Numbers and strings can always be written.
                let header = serde_json::to_vec(&header).unwrap_or_default();
                with_length(&header, header.len())
            }
        };
        [head, output].concat()
    }
}

/// A length as four bytes, and what follows it at once.
fn with_length(follows: &[u8], length: usize) -> Vec<u8> {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    [&length.to_le_bytes()[..], follows].concat()
}

/// What was said, with a last line of our own, and whether it had to be cut. With that line, too, it is not longer than
/// `max_bytes`.
fn end_with(capture: Capture, last_words: Option<&str>, max_bytes: usize) -> (Vec<u8>, bool) {
    let Some(last_words) = last_words else { return capture.joined(max_bytes) };
    let last_line = remark(last_words);
    // Room for a line feed of what was said, if it has none at its end.
    let (mut output, is_cut) = capture.joined(max_bytes.saturating_sub(last_line.len() + 1));
    if output.last().is_some_and(|last| *last != b'\n') {
        output.push(b'\n');
    }
    output.extend_from_slice(last_line.as_bytes());
    (output, is_cut)
}

/// A line that is not the command's.
fn remark(words: &str) -> String {
    format!("exec: {words}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(output: &str, errors: &str, end: End) -> Ran {
        Ran { capture: Capture { output: output.into(), errors: errors.into() }, end }
    }

    fn said(ran: Ran, dialect: Dialect) -> String {
        String::from_utf8(Answer::of("x".into(), ran, dialect, Duration::from_secs(10), 100).output).unwrap()
    }

    #[test]
    fn an_end_that_the_dialect_cannot_tell_is_the_last_line() {
        use Dialect::{Header, Length, Ready};
        let late = "exec: killed: it ran for longer than 10s\n";
        for (output, errors, end, dialect, expected) in [
            ("out\n", "err\n", End::Exited(0), Length, "out\nerr\n"),
            ("out\n", "err\n", End::Exited(3), Length, "out\nerr\n"),
            ("", "", End::Exited(0), Length, ""),
            ("", "", End::Exited(3), Length, "exec: exit code 3\n"),
            ("", "", End::Exited(3), Header, ""),
            ("", "", End::Exited(3), Ready, ""),
            ("out", "", End::OutOfTime, Header, &format!("out\n{late}")),
            ("", "", End::OutOfTime, Ready, late),
            ("", "err", End::Signalled(11), Header, "err\nexec: killed by signal 11\n"),
        ] {
            assert_eq!(said(ran(output, errors, end), dialect), expected, "{end:?} {dialect}");
        }
    }

    #[test]
    fn no_answer_is_longer_than_it_may_be() {
        let flood = "x".repeat(200);
        let cut = said(ran(&flood, "err\n", End::Cut), Dialect::Length);
        assert!(cut.len() <= 100 && cut.ends_with("xerr\nexec: cut: it said more than 100 bytes\n"), "{cut}");
        assert_eq!(said(ran(&flood, "err\n", End::Cut), Dialect::Header), "x".repeat(96) + "err\n");
        let late = said(ran(&flood, "", End::OutOfTime), Dialect::Header);
        assert_eq!(late.len(), 100);
    }

    #[test]
    fn each_dialect_has_its_bytes() {
        let answer = |output: &str| {
            Answer::of("ls".into(), ran(output, "", End::Exited(0)), Dialect::Length, Duration::ZERO, 100)
        };
        assert_eq!(answer("ab").bytes(Dialect::Length), b"\x02\0\0\0ab");
        assert_eq!(answer("").bytes(Dialect::Length), b"\0\0\0\0");
        assert_eq!(answer("ab").bytes(Dialect::Ready), b"ab");
        assert_eq!(answer("").bytes(Dialect::Ready), b"cmd ERROR");
        let header = r#"{"filename":"ls","total_size":2,"md5":"187ef4436122d1cc2f40dc2b92f0eba0","exit_code":0,"truncated":false}"#;
        let expected = [&u32::try_from(header.len()).unwrap().to_le_bytes()[..], header.as_bytes(), b"ab"].concat();
        assert_eq!(answer("ab").bytes(Dialect::Header), expected);
        let refusal = Answer::refusal("rm".into(), "no").bytes(Dialect::Header);
        let text = String::from_utf8(refusal[4..].to_vec()).unwrap();
        assert!(text.contains(r#""exit_code":null"#) && text.ends_with("}exec: no\n"), "{text}");
    }
}
