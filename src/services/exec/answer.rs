//! The answer to a request, encoded in each dialect.

use std::time::Duration;

use super::capture::Capture;
use super::run::{CommandEnd, CommandResult};
use super::wire::{ExecDialect, ExecHeader, NO_OUTPUT, md5_hex};

/// The answer to one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The program's name as in the request.
    name: String,
    output: Vec<u8>,
    exit_code: Option<i32>,
    truncated: bool,
}

impl Answer {
    /// Returns the answer to a rejected request: a text instead of output.
    pub(super) fn rejection(name: String, reason: &str) -> Self {
        Self { name, output: own_line(reason).into(), exit_code: None, truncated: false }
    }

    /// Returns the answer with a command's output. If the dialect has no field for the way in which
    /// the command ended, the last line of the output reports it.
    pub(super) fn new(
        name: String,
        result: CommandResult,
        dialect: ExecDialect,
        timeout: Duration,
        max_bytes: usize,
    ) -> Self {
        let CommandResult { capture, end } = result;
        let exit_code = if let CommandEnd::Exited(code) = end { Some(code) } else { None };
        let is_truncated = capture.exceeds(max_bytes);
        let last_line = match end {
            CommandEnd::TimedOut => Some(format!("killed: it ran for longer than {timeout:?}")),
            _ if is_truncated && dialect != ExecDialect::Header => {
                Some(format!("cut: it said more than {max_bytes} bytes"))
            }
            CommandEnd::Signalled(signal) => Some(format!("killed by signal {signal}")),
            CommandEnd::Exited(code) if code != 0 && dialect == ExecDialect::Length && capture.is_empty() => {
                Some(format!("exit code {code}"))
            }
            CommandEnd::Cancelled => Some("ended: the server is stopping".to_owned()),
            CommandEnd::Exited(_) | CommandEnd::OutputLimit => None,
        };
        let (output, truncated) = with_last_line(capture, last_line.as_deref(), max_bytes);
        Self { name, output, exit_code, truncated }
    }

    /// Encodes the answer. In [`ExecDialect::Ready`] these are the bytes that wait for the client's
    /// `Start`.
    pub(super) fn bytes(self, dialect: ExecDialect) -> Vec<u8> {
        let Self { name, output, exit_code, truncated } = self;
        let head = match dialect {
            ExecDialect::Length => with_length(&[], output.len()),
            ExecDialect::Ready if output.is_empty() => NO_OUTPUT.into(),
            ExecDialect::Ready => return output,
            ExecDialect::Header => {
                let md5 = md5_hex(&output);
                let total_size = output.len();
                let header = ExecHeader { filename: &name, total_size, md5: &md5, exit_code, truncated };
                // Serialising numbers and strings does not fail.
                let header = serde_json::to_vec(&header).unwrap_or_default();
                with_length(&header, header.len())
            }
        };
        [head, output].concat()
    }
}

/// Returns `length` as four bytes, followed by `rest`.
fn with_length(rest: &[u8], length: usize) -> Vec<u8> {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    [&length.to_le_bytes()[..], rest].concat()
}

/// Returns the output with a last line of this service, and true if the output was truncated. The
/// result has at most `max_bytes`, the last line included.
fn with_last_line(capture: Capture, last_line: Option<&str>, max_bytes: usize) -> (Vec<u8>, bool) {
    let Some(last_line) = last_line else { return capture.joined(max_bytes) };
    let last_line = own_line(last_line);
    // One byte is reserved for a line feed, if the output does not end with one.
    let (mut output, is_truncated) = capture.joined(max_bytes.saturating_sub(last_line.len() + 1));
    if output.last().is_some_and(|last| *last != b'\n') {
        output.push(b'\n');
    }
    output.extend_from_slice(last_line.as_bytes());
    (output, is_truncated)
}

/// Returns a line of this service, as opposed to the command's output.
fn own_line(text: &str) -> String {
    format!("exec: {text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(output: &str, errors: &str, end: CommandEnd) -> CommandResult {
        CommandResult { capture: Capture { output: output.into(), errors: errors.into() }, end }
    }

    fn output_of(result: CommandResult, dialect: ExecDialect) -> String {
        String::from_utf8(Answer::new("x".into(), result, dialect, Duration::from_secs(10), 100).output).unwrap()
    }

    #[test]
    fn the_last_line_reports_the_end_if_the_dialect_cannot() {
        use ExecDialect::{Header, Length, Ready};
        let late = "exec: killed: it ran for longer than 10s\n";
        for (output, errors, end, dialect, expected) in [
            ("out\n", "err\n", CommandEnd::Exited(0), Length, "out\nerr\n"),
            ("out\n", "err\n", CommandEnd::Exited(3), Length, "out\nerr\n"),
            ("", "", CommandEnd::Exited(0), Length, ""),
            ("", "", CommandEnd::Exited(3), Length, "exec: exit code 3\n"),
            ("", "", CommandEnd::Exited(3), Header, ""),
            ("", "", CommandEnd::Exited(3), Ready, ""),
            ("out", "", CommandEnd::TimedOut, Header, &format!("out\n{late}")),
            ("", "", CommandEnd::TimedOut, Ready, late),
            ("", "err", CommandEnd::Signalled(11), Header, "err\nexec: killed by signal 11\n"),
        ] {
            assert_eq!(output_of(result(output, errors, end), dialect), expected, "{end:?} {dialect}");
        }
    }

    #[test]
    fn the_answer_is_bounded() {
        let long = "x".repeat(200);
        let cut = output_of(result(&long, "err\n", CommandEnd::OutputLimit), ExecDialect::Length);
        assert!(cut.len() <= 100 && cut.ends_with("xerr\nexec: cut: it said more than 100 bytes\n"), "{cut}");
        assert_eq!(
            output_of(result(&long, "err\n", CommandEnd::OutputLimit), ExecDialect::Header),
            "x".repeat(96) + "err\n"
        );
        let late = output_of(result(&long, "", CommandEnd::TimedOut), ExecDialect::Header);
        assert_eq!(late.len(), 100);
    }

    #[test]
    fn bytes_of_each_dialect() {
        let answer = |output: &str| {
            Answer::new(
                "ls".into(),
                result(output, "", CommandEnd::Exited(0)),
                ExecDialect::Length,
                Duration::ZERO,
                100,
            )
        };
        assert_eq!(answer("ab").bytes(ExecDialect::Length), b"\x02\0\0\0ab");
        assert_eq!(answer("").bytes(ExecDialect::Length), b"\0\0\0\0");
        assert_eq!(answer("ab").bytes(ExecDialect::Ready), b"ab");
        assert_eq!(answer("").bytes(ExecDialect::Ready), b"cmd ERROR");
        let header = r#"{"filename":"ls","total_size":2,"md5":"187ef4436122d1cc2f40dc2b92f0eba0","exit_code":0,"truncated":false}"#;
        let expected = [&u32::try_from(header.len()).unwrap().to_le_bytes()[..], header.as_bytes(), b"ab"].concat();
        assert_eq!(answer("ab").bytes(ExecDialect::Header), expected);
        let rejection = Answer::rejection("rm".into(), "no").bytes(ExecDialect::Header);
        let text = String::from_utf8(rejection[4..].to_vec()).unwrap();
        assert!(text.contains(r#""exit_code":null"#) && text.ends_with("}exec: no\n"), "{text}");
    }
}
