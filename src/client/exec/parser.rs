//! Reads one answer, in whatever pieces it comes.

use super::{Dialect, Fault};
use crate::services::exec::wire::{READY, START, md5_hex};

/// The longest output that is taken, in bytes: far more than a server of ours sends.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The longest header that is taken, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The digits of [`MAX_ANSWER_BYTES`].
const MAX_DIGITS: usize = 8;

/// Characters of a wrong answer that are shown.
const SHOWN_CHARS: usize = 20;

/// One answer, being read.
///
/// ```
/// use switchboard::client::exec::{Dialect, Hearing, Step};
/// let mut hearing = Hearing::new(Dialect::Length);
/// assert_eq!(hearing.hear(&[2, 0, 0, 0, b'h'])?, Step::Read);
/// assert_eq!(hearing.hear(b"i")?, Step::Done);
/// assert_eq!(hearing.into_answer().output, b"hi");
/// # Ok::<(), switchboard::client::exec::Fault>(())
/// ```
#[derive(Debug)]
pub struct Hearing {
    stage: Stage,
    /// Bytes of the stage that have come.
    come: Vec<u8>,
    report: Option<Report>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Length,
    HeaderLength,
    Header(usize),
    Ready,
    Output { bytes: usize, md5: Option<String> },
    Done,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read on.
    Read,
    /// What has come may be all, and may be not: read on for a moment, and if nothing comes say so with
    /// [`hear_nothing`](Hearing::hear_nothing). A length in [`Dialect::Ready`] has no end of its own.
    Settle,
    /// Say this to the server, then go on as if it had sent nothing yet: [`hear`](Hearing::hear) no bytes. It may have none to send.
    Say(&'static str),
    /// The answer is there.
    Done,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What the header said, in [`Dialect::Header`].
    pub report: Option<Report>,
    /// What the command said.
    pub output: Vec<u8>,
}

/// What a header says besides the length. Servers of others may leave anything out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The program.
    pub filename: Option<String>,
    /// What it ended with; `Some(None)` where the server says that there is no such number.
    pub exit_code: Option<Option<i64>>,
    /// The command had more to say.
    pub truncated: bool,
    /// The output's MD5 in hexadecimal, which it has.
    pub md5: Option<String>,
}

impl Hearing {
    /// Of the answer to a command.
    pub fn new(dialect: Dialect) -> Self {
        let stage = match dialect {
            Dialect::Length => Stage::Length,
            Dialect::Header => Stage::HeaderLength,
            Dialect::Ready => Stage::Ready,
        };
        Self { stage, come: Vec::new(), report: None }
    }

    /// The server has sent `bytes`. To be told, too, what comes at once behind an answer that is [done](Step::Done): nothing may.
    ///
    /// # Errors
    /// [`Fault`] when this is no answer, or more than one.
    pub fn hear(&mut self, mut bytes: &[u8]) -> Result<Step, Fault> {
        loop {
            let wanted = match &self.stage {
                Stage::Length | Stage::HeaderLength => 4,
                Stage::Header(wanted) | Stage::Output { bytes: wanted, .. } => *wanted,
                Stage::Ready => return self.hear_ready(bytes),
                Stage::Done if bytes.is_empty() => return Ok(Step::Done),
                Stage::Done => return Err(Fault::Surplus { announced: self.come.len() }),
            };
            let (taken, rest) = bytes.split_at(bytes.len().min(wanted.saturating_sub(self.come.len())));
            self.come.extend_from_slice(taken);
            bytes = rest;
            if self.come.len() < wanted {
                return Ok(Step::Read);
            }
            self.stage = self.finish_stage()?;
        }
    }

    /// Nothing has come for the moment that [`Step::Settle`] asked for.
    ///
    /// # Errors
    /// [`Fault`] when what came before is no answer.
    pub fn hear_nothing(&mut self) -> Result<Step, Fault> {
        if self.stage != Stage::Ready {
            return Ok(if self.stage == Stage::Done { Step::Done } else { Step::Read });
        }
        let bytes = self.announced()?.ok_or_else(|| self.not_ready())?;
        self.come.clear();
        self.stage = output(bytes as u64, None)?;
        Ok(Step::Say(START))
    }

    /// The connection has ended where more was expected.
    pub fn hear_end(&self) -> Fault {
        let came = self.come.len();
        let (part, of) = match &self.stage {
            Stage::Length | Stage::HeaderLength if came == 0 => ("an answer", None),
            Stage::Length => ("the length", Some(4)),
            Stage::HeaderLength => ("the header's length", Some(4)),
            Stage::Header(of) => ("the header", Some(*of)),
            Stage::Ready => ("an answer", None),
            Stage::Output { bytes, .. } => ("the output", Some(*bytes)),
            Stage::Done => ("nothing", None),
        };
        Fault::EndsEarly { part, came, of }
    }

    /// The answer, once [`Step::Done`] was said; before, what came of it.
    pub fn into_answer(self) -> Answer {
        Answer { report: self.report, output: self.come }
    }

    /// What follows a stage all of whose bytes have come.
    fn finish_stage(&mut self) -> Result<Stage, Fault> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Length => {
                let four = self.take_four();
                if READY.as_bytes().starts_with(&four) {
                    return Err(Fault::IsReady);
                }
                let length = i32::from_le_bytes(four);
                output(u64::try_from(length).map_err(|_| Fault::NegativeLength(length))?, None)
            }
            Stage::HeaderLength => {
                let four = self.take_four();
                let length = u32::from_le_bytes(four);
                match usize::try_from(length) {
                    _ if READY.as_bytes().starts_with(&four) => Err(Fault::IsReady),
                    Ok(length @ 0..=MAX_HEADER_BYTES) => Ok(Stage::Header(length)),
                    _ => Err(Fault::HeaderTooLong(length)),
                }
            }
            Stage::Header(_) => {
                let (report, bytes) = read_header(&std::mem::take(&mut self.come))?;
                let md5 = report.md5.clone();
                self.report = Some(report);
                output(bytes, md5)
            }
            Stage::Output { md5: Some(md5), .. } if !md5.eq_ignore_ascii_case(&md5_hex(&self.come)) => {
                Err(Fault::WrongChecksum)
            }
            Stage::Output { .. } | Stage::Ready | Stage::Done => Ok(Stage::Done),
        }
    }

    fn take_four(&mut self) -> [u8; 4] {
        std::mem::take(&mut self.come).try_into().unwrap_or_default()
    }

    fn hear_ready(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        // More than the longest is wrong, whatever it is.
        let room = (READY.len() + MAX_DIGITS + 1).saturating_sub(self.come.len());
        self.come.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        Ok(if self.announced()?.is_some() { Step::Settle } else { Step::Read })
    }

    /// The length that is announced, if there is a digit of it by now.
    fn announced(&self) -> Result<Option<usize>, Fault> {
        let ready = READY.as_bytes();
        let Some(digits) = self.come.strip_prefix(ready) else {
            return if ready.starts_with(&self.come) { Ok(None) } else { Err(self.not_ready()) };
        };
        // Some end it as they end a line.
        let digits = digits.trim_ascii_end();
        if digits.is_empty() {
            return Ok(None);
        }
        let number = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u64 = number.and_then(|digits| digits.parse().ok()).ok_or_else(|| self.not_ready())?;
        usize::try_from(number).ok().filter(|bytes| *bytes <= MAX_ANSWER_BYTES).map(Some).ok_or(Fault::TooLong(number))
    }

    fn not_ready(&self) -> Fault {
        let text = String::from_utf8_lossy(&self.come);
        Fault::NotReady(text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect())
    }
}

fn output(bytes: u64, md5: Option<String>) -> Result<Stage, Fault> {
    let fits = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_ANSWER_BYTES);
    fits.map(|bytes| Stage::Output { bytes, md5 }).ok_or(Fault::TooLong(bytes))
}

/// What a header says, and the output's length. Whatever else is in it is not looked at.
fn read_header(header: &[u8]) -> Result<(Report, u64), Fault> {
    let Ok(serde_json::Value::Object(header)) = serde_json::from_slice(header) else {
        return Err(Fault::BadHeader("is no JSON object".to_owned()));
    };
    let bytes = header.get("total_size").and_then(serde_json::Value::as_u64);
    let bytes = bytes.ok_or_else(|| Fault::BadHeader("has no length of the output, total_size".to_owned()))?;
    let text = |name| header.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let report = Report {
        filename: text("filename"),
        exit_code: header.get("exit_code").map(serde_json::Value::as_i64),
        truncated: header.get("truncated").and_then(serde_json::Value::as_bool).unwrap_or(false),
        md5: text("md5"),
    };
    Ok((report, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str, output: &[u8]) -> Vec<u8> {
        [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], json.as_bytes(), output].concat()
    }

    /// Hears `bytes` in pieces of `size`, as a driver would.
    fn hear(dialect: Dialect, bytes: &[u8], size: usize) -> Result<Answer, Fault> {
        let (mut hearing, mut step) = (Hearing::new(dialect), Step::Read);
        for piece in bytes.chunks(size) {
            step = hearing.hear(piece)?;
        }
        if step == Step::Done { Ok(hearing.into_answer()) } else { Err(hearing.hear_end()) }
    }

    #[test]
    fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
        let full = r#"{"filename":"ls","total_size":2,"md5":"49F68A5C8493EC2C0BF489821C21FC3B","exit_code":3,"truncated":true,"more":[1]}"#;
        let report = Report {
            filename: Some("ls".into()),
            exit_code: Some(Some(3)),
            truncated: true,
            md5: Some("49F68A5C8493EC2C0BF489821C21FC3B".into()),
        };
        let killed = Report { exit_code: Some(None), ..Report::default() };
        for (dialect, bytes, report) in [
            (Dialect::Length, b"\x02\0\0\0hi".to_vec(), None),
            (Dialect::Header, header(full, b"hi"), Some(report)),
            (Dialect::Header, header(r#"{"total_size":2}"#, b"hi"), Some(Report::default())),
            (Dialect::Header, header(r#"{"exit_code":null,"total_size":2}"#, b"hi"), Some(killed)),
        ] {
            for size in 1..=bytes.len() {
                let answer = hear(dialect, &bytes, size).unwrap();
                assert_eq!(answer, Answer { report: report.clone(), output: b"hi".to_vec() });
            }
        }
        assert_eq!(hear(Dialect::Length, &[0; 4], 4).unwrap(), Answer::default());
    }

    #[test]
    fn a_ready_answer_is_asked_for_when_its_length_is_whole() {
        let mut hearing = Hearing::new(Dialect::Ready);
        for (piece, step) in [("Re", Step::Read), ("ady|", Step::Read), ("1", Step::Settle), ("0", Step::Settle)] {
            assert_eq!(hearing.hear(piece.as_bytes()), Ok(step));
        }
        assert_eq!(hearing.hear_nothing(), Ok(Step::Say(START)));
        assert_eq!(hearing.hear(b"01234"), Ok(Step::Read));
        assert_eq!(hearing.hear_nothing(), Ok(Step::Read));
        assert_eq!(hearing.hear(b"56789"), Ok(Step::Done));
        assert_eq!(hearing.into_answer().output, b"0123456789");
    }

    #[test]
    fn an_output_of_no_bytes_is_whole_when_it_was_asked_for() {
        let mut hearing = Hearing::new(Dialect::Ready);
        assert_eq!(hearing.hear(b"Ready|0"), Ok(Step::Settle));
        assert_eq!(hearing.hear_nothing(), Ok(Step::Say(START)));
        assert_eq!(hearing.hear(b""), Ok(Step::Done));
        assert_eq!(hearing.into_answer().output, b"");
    }

    #[test]
    fn a_lie_is_found_out() {
        let negative = (-1_i32).to_le_bytes();
        let huge = i32::MAX.to_le_bytes();
        for (dialect, bytes, says) in [
            (Dialect::Length, negative.to_vec(), "said to have -1 bytes"),
            (Dialect::Length, huge.to_vec(), "2147483647 bytes, and 67108864 are the most"),
            (Dialect::Length, b"\x05\0\0\0hi".to_vec(), "ended after 2 of 5 bytes of the output"),
            (Dialect::Length, b"\x05\0".to_vec(), "ended after 2 of 4 bytes of the length"),
            (Dialect::Length, Vec::new(), "ended before an answer came"),
            (Dialect::Length, b"Ready|5".to_vec(), "the server speaks the dialect ready"),
            (Dialect::Length, b"\x02\0\0\0hi\n".to_vec(), "sends more than the 2 bytes"),
            (Dialect::Length, b"\0\0\0\0\0".to_vec(), "sends more than the 0 bytes"),
            (Dialect::Header, header(r#"{"total_size":2}"#, b"hi!"), "does the server speak another dialect?"),
            (Dialect::Header, negative.to_vec(), "the header is said to have 4294967295 bytes"),
            (Dialect::Header, header("{", b""), "is no JSON object"),
            (Dialect::Header, header("", b""), "is no JSON object"),
            (Dialect::Header, header("[]", b""), "is no JSON object"),
            (Dialect::Header, header("{}", b""), "has no length of the output, total_size"),
            (Dialect::Header, header(r#"{"total_size":-5}"#, b""), "has no length of the output, total_size"),
            (Dialect::Header, header(r#"{"total_size":68719476736}"#, b""), "68719476736 bytes"),
            (Dialect::Header, header(r#"{"total_size":2,"md5":"00"}"#, b"hi"), "whose MD5"),
            (Dialect::Header, header(r#"{"total_size":3}"#, b"hi"), "ended after 2 of 3 bytes of the output"),
            (Dialect::Ready, b"cmd ERROR".to_vec(), "begins with 'cmd ERROR', not with Ready|"),
            (Dialect::Ready, b"Ready|-1".to_vec(), "begins with 'Ready|-1'"),
            (Dialect::Ready, b"Ready|123456789".to_vec(), "123456789 bytes, and"),
            (Dialect::Ready, vec![b'\x1b'; 100], r"begins with '\u{1b}"),
        ] {
            for size in 1..=bytes.len().max(1) {
                let fault = hear(dialect, &bytes, size).unwrap_err().to_string();
                // A piece may be wrong before all is there, and is shown as far as it came.
                let says = if dialect == Dialect::Ready && size < bytes.len() { "" } else { says };
                assert!(fault.contains(says), "{dialect} {bytes:?} by {size}: {fault}");
            }
        }
    }
}
