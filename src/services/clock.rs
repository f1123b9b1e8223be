//! The clock service: replies with the time.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use jiff::fmt::StdFmtWrite;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::amplification::max_answer_bytes;
use super::text_frame::text_of_frame;
use crate::frame::TextEncoding;
use crate::service::{Context, Service, ServiceOptions};

/// The largest reply, in bytes. Longer ones are truncated, so that a small datagram with a forged
/// sender address cannot cause a large one.
const MAX_REPLY_BYTES: usize = 512;

/// Reads each payload as a strftime format and replies with the formatted time. An empty payload,
/// or a line ending alone, means `%Y-%m-%d %H:%M:%S`.
///
/// The conversions are those of `strftime(3)` in the C locale. The reply to an invalid format is
/// `error: ` and the reason. A reply has at most 512 bytes, and one to a datagram of another
/// machine at most three times the bytes of the datagram, headers included.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// The format for an empty message.
    pub const FORMAT: &str = "%Y-%m-%d %H:%M:%S";

    /// Creates a clock in this time zone.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// Returns the options of this service: a clone for each connection, and a limit on the
    /// datagrams of one source.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        ServiceOptions::new(name)
            .clone_per_connection(self)
            .answers_per_second(ServiceOptions::DEFAULT_ANSWERS_PER_SECOND)
    }

    fn reply_to(&self, format: &[u8], now: SystemTime) -> String {
        let reply = match std::str::from_utf8(format) {
            Ok("" | "\n" | "\r\n") => self.format(Self::FORMAT, now),
            Ok(format) => self.format(format, now),
            Err(_) => Err("the format is not UTF-8".to_owned()),
        };
        reply.unwrap_or_else(|error| TruncatedText::of(&format!("error: {error}")).text)
    }

    fn format(&self, format: &str, now: SystemTime) -> Result<String, String> {
        let time = Timestamp::try_from(now).map_err(|error| error.to_string())?;
        let time = BrokenDownTime::from(&Zoned::new(time, self.zone.clone()));
        let mut reply = TruncatedText::default();
        let config = Config::new().custom(PosixCustom::new());
        match time.format_with_config(&config, without_modifiers(format), &mut StdFmtWrite(&mut reply)) {
            Ok(()) => Ok(reply.text),
            // Formatting ends with an error when the reply is full, so a long format costs no more
            // than its reply.
            Err(_) if reply.is_full => Ok(reply.text),
            Err(error) => {
                let text = error.to_string();
                Err(text.strip_prefix("strftime formatting failed: ").unwrap_or(&text).to_owned())
            }
        }
    }
}

impl Default for Clock {
    /// Creates a clock in the local time zone.
    fn default() -> Self {
        Self::new(TimeZone::system())
    }
}

impl Service for Clock {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let format = text_of_frame(cx, payload, TextEncoding::UTF_8);
        let reply = self.reply_to(&format, cx.wall_clock());
        cx.reply(reply.as_bytes());
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        let format = text_of_frame(cx, payload, TextEncoding::UTF_8);
        let reply = self.reply_to(&format, cx.wall_clock());
        cx.reply(prefix(&reply, max_answer_bytes(from, payload.len())).as_bytes());
    }
}

/// Removes the modifiers `E` and `O` before conversions. They select a locale's own calendar and
/// digits, which the C locale lacks (strftime(3)).
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
        // The conversion character, which may be a percent sign.
        plain.extend(rest.next());
    }
    plain
}

/// Returns the start of `text`, at most `max_bytes` bytes, up to a character boundary.
fn prefix(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Text truncated to [`MAX_REPLY_BYTES`] at a character boundary.
#[derive(Default)]
struct TruncatedText {
    text: String,
    is_full: bool,
}

impl TruncatedText {
    fn of(text: &str) -> Self {
        let mut truncated = Self::default();
        // The error means that the text was truncated, which `is_full` records.
        let _ = fmt::Write::write_str(&mut truncated, text);
        truncated
    }
}

impl fmt::Write for TruncatedText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let fitting = prefix(more, MAX_REPLY_BYTES - self.text.len());
        self.text.push_str(fitting);
        self.is_full |= fitting.len() < more.len();
        if self.is_full { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn clock(zone: &str) -> impl Fn(&[u8]) -> String {
        let clock = Clock::new(TimeZone::get(zone).unwrap());
        move |format| clock.reply_to(format, SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_000_123_456_789))
    }

    #[test]
    fn the_reply_has_the_requested_format() {
        let reply_to = clock("Asia/Shanghai");
        for (format, reply) in [
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
            assert_eq!(reply_to(format.as_bytes()), reply, "{format}");
        }
        assert_eq!(clock("America/New_York")(b""), "2001-09-08 21:46:40");
    }

    #[test]
    fn an_invalid_format_gets_an_error() {
        let reply_to = clock("UTC");
        for format in [&b"%"[..], b"%!", b"%H %", b"\xff", b"%E", b"%5"] {
            let reply = reply_to(format);
            assert!(reply.starts_with("error: "), "{format:?}: {reply}");
        }
        assert_eq!(reply_to(b"\xff"), "error: the format is not UTF-8");
    }

    #[test]
    fn replies_are_truncated_between_characters() {
        let reply_to = clock("UTC");
        assert_eq!(reply_to(&b"%c".repeat(30_000)).len(), MAX_REPLY_BYTES);
        assert_eq!(reply_to("你".repeat(1000).as_bytes()).len(), MAX_REPLY_BYTES - MAX_REPLY_BYTES % 3);
        assert_eq!(reply_to(&[b'x'; 512]).len(), 512);
        assert_eq!(reply_to(b"%99999999999999999999d").split(':').next(), Some("error"));
        assert!(reply_to(b"%255Y").len() <= MAX_REPLY_BYTES);
        assert!(reply_to(&[&b"%"[..], &[b'!'; 2000]].concat()).len() <= MAX_REPLY_BYTES);
    }
}
