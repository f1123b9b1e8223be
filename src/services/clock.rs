//! Says what time it is.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use jiff::fmt::StdFmtWrite;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::service::Context;
use crate::service::Service;

/// An answer is cut here, in bytes, so that a small datagram cannot have a large one sent to somebody else.
const MAX_ANSWER_BYTES: usize = 512;

/// Takes each payload for a strftime format and answers with the time in it; an empty one, or a line ending alone, stands for
/// `%Y-%m-%d %H:%M:%S`.
///
/// The conversions are those of `strftime(3)` in the C locale. A format that is none is answered with `error: ` and what is
/// wrong with it. No answer has more than 512 bytes.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// What an empty message asks for.
    pub const FORMAT: &str = "%Y-%m-%d %H:%M:%S";

    /// A clock in this zone.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    fn answer(&self, format: &[u8], now: SystemTime) -> String {
        let answer = match std::str::from_utf8(format) {
            Ok("" | "\n" | "\r\n") => self.format(Self::FORMAT, now),
            Ok(format) => self.format(format, now),
            Err(_) => Err("the format is not UTF-8".to_owned()),
        };
        answer.unwrap_or_else(|error| Short::of(&format!("error: {error}")).text)
    }

    fn format(&self, format: &str, now: SystemTime) -> Result<String, String> {
        let time = Timestamp::try_from(now).map_err(|error| error.to_string())?;
        let time = BrokenDownTime::from(&Zoned::new(time, self.zone.clone()));
        let mut answer = Short::default();
        let config = Config::new().custom(PosixCustom::new());
        match time.format_with_config(&config, without_modifiers(format), &mut StdFmtWrite(&mut answer)) {
            Ok(()) => Ok(answer.text),
            // What does not fit ends the formatting, which is how a long one costs no more than its answer.
            Err(_) if answer.is_full => Ok(answer.text),
            Err(error) => {
                let text = error.to_string();
                Err(text.strip_prefix("strftime formatting failed: ").unwrap_or(&text).to_owned())
            }
        }
    }
}

impl Default for Clock {
    /// A clock in the local zone.
    fn default() -> Self {
        Self::new(TimeZone::system())
    }
}

impl Service for Clock {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let answer = self.answer(payload, cx.wall_clock());
        cx.reply(answer.as_bytes());
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        self.on_frame(cx, payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(self.clone()))
    }
}

/// The same format without `E` and `O` before a conversion: they ask for a locale's own calendar and digits, and the C locale has
/// none (strftime(3)).
fn without_modifiers(format: &str) -> String {
    let mut plain = String::with_capacity(format.len());
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        plain.push(c);
        if c != '%' {
            continue;
        }
        while let Some(flag) = rest.next_if(|c| matches!(c, '-' | '_' | '^' | '#' | '0'..='9')) {
            plain.push(flag);
        }
        let mut ahead = rest.clone();
        if matches!(ahead.next(), Some('E' | 'O')) && ahead.next().is_some_and(|c| c.is_ascii_alphabetic()) {
            rest.next();
        }
        // The conversion itself, which may be a percent sign.
        plain.extend(rest.next());
    }
    plain
}

/// Text of at most as many bytes as an answer may have, whole characters only.
#[derive(Default)]
struct Short {
    text: String,
    is_full: bool,
}

impl Short {
    fn of(text: &str) -> Self {
        let mut short = Self::default();
        // That it does not fit is what `is_full` says.
        let _ = fmt::Write::write_str(&mut short, text);
        short
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = MAX_ANSWER_BYTES - self.text.len();
        let fitting = more.floor_char_boundary(room);
        self.text.push_str(more.get(..fitting).unwrap_or_default());
        self.is_full |= fitting < more.len();
        if self.is_full { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn clock(zone: &str) -> impl Fn(&[u8]) -> String {
        let clock = Clock::new(TimeZone::get(zone).unwrap());
        move |format| clock.answer(format, SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_000_123_456_789))
    }

    #[test]
    fn the_time_is_told_as_it_was_asked_for() {
        let ask = clock("Asia/Shanghai");
        for (format, answer) in [
            ("", "2001-09-09 09:46:40"),
            ("\n", "2001-09-09 09:46:40"),
            ("%H:%M\n", "09:46\n"),
            ("%c", "Sun Sep  9 09:46:40 2001"),
            ("%x %X", "09/09/01 09:46:40"),
            (
                "%a %A %b %B %d %j %p %I %y %w %u %U %W %V %G",
                "Sun Sunday Sep September 09 252 AM 09 01 0 7 36 36 36 2001",
            ),
            ("%s %z %Z", "1000000000 +0800 CST"),
            ("%Ey %EY %Od %_5Oe %%EY %%Od", "01 2001 09     9 %EY %Od"),
            ("%F %T %D %R %e %n%t%%", "2001-09-09 09:46:40 09/09/01 09:46  9 \n\t%"),
            ("现在 %H点", "现在 09点"),
            ("no conversion", "no conversion"),
        ] {
            assert_eq!(ask(format.as_bytes()), answer, "{format}");
        }
        assert_eq!(clock("America/New_York")(b""), "2001-09-08 21:46:40");
    }

    #[test]
    fn what_is_no_format_is_said_to_be_none() {
        let ask = clock("UTC");
        for format in [&b"%"[..], b"%!", b"%H %", b"\xff", b"%E", b"%5"] {
            let answer = ask(format);
            assert!(answer.starts_with("error: "), "{format:?}: {answer}");
        }
        assert_eq!(ask(b"\xff"), "error: the format is not UTF-8");
    }

    #[test]
    fn answers_are_cut_between_characters() {
        let ask = clock("UTC");
        assert_eq!(ask(&b"%c".repeat(30_000)).len(), MAX_ANSWER_BYTES);
        assert_eq!(ask("你".repeat(1000).as_bytes()).len(), MAX_ANSWER_BYTES - MAX_ANSWER_BYTES % 3);
        assert_eq!(ask(&[b'x'; 512]).len(), 512);
        assert_eq!(ask(b"%99999999999999999999d").split(':').next(), Some("error"));
        assert!(ask(b"%255Y").len() <= MAX_ANSWER_BYTES);
        assert!(ask(&[&b"%"[..], &[b'!'; 2000]].concat()).len() <= MAX_ANSWER_BYTES);
    }
}
