//! Answers by keywords.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Deserialize;

use super::Clock;
use crate::frame::TextEncoding;
use crate::service::Context;
use crate::service::Service;

/// A keyword of a message decides what is answered.
///
/// What is no text in the encoding is answered, too: keywords are looked for in what can be read of it.
#[derive(Clone, Debug)]
pub struct Robot {
    name: Arc<str>,
    rules: Arc<[Rule]>,
    encoding: TextEncoding,
    zone: TimeZone,
}

/// What is answered to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The message contains one of these, in this very spelling. A rule without keywords is for every message that no earlier
    /// one is for.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// The answer. `{name}` stands for the robot's name, `{time}` for the local time as in `2026-11-21 17:46:32`.
    pub reply: String,
}

/// What is answered where no rule says otherwise: "I cannot understand what you mean, how embarrassing".
const AT_A_LOSS: &str = "我不能明白您的意思,好尴尬啊...";

impl Robot {
    /// The name of [`Robot::default`].
    pub const NAME: &str = "switchboard";

    /// A robot of this name that goes by `rules`, in their order, and gives the time in `zone`.
    pub fn new(name: &str, rules: Vec<Rule>, encoding: TextEncoding, zone: TimeZone) -> Self {
        Self { name: name.into(), rules: rules.into(), encoding, zone }
    }

    /// The rules of [`Robot::default`].
    pub fn rules() -> Vec<Rule> {
        let rule = |keywords: &[&str], reply: &str| {
            let keywords = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
            Rule { keywords, reply: reply.to_owned() }
        };
        vec![
            rule(&["你好", "hello"], "你好"),
            rule(&["名字", "name"], "我是{name}"),
            rule(&["时间", "time"], "{time}"),
            rule(&[], AT_A_LOSS),
        ]
    }

    fn answer(&self, message: &[u8], now: SystemTime) -> String {
        let message = self.encoding.decode_lossy(message);
        let is_for = |rule: &&Rule| {
            rule.keywords.is_empty() || rule.keywords.iter().any(|keyword| message.contains(keyword.as_str()))
        };
        let reply = self.rules.iter().find(is_for).map_or(AT_A_LOSS, |rule| &rule.reply);
        // The name last, and in pieces: it may hold what looks like a placeholder.
        let with_time = |piece: &str| {
            if piece.contains("{time}") {
                piece.replace("{time}", &local_time(now, &self.zone))
            } else {
                piece.to_owned()
            }
        };
        reply.split("{name}").map(with_time).collect::<Vec<_>>().join(&self.name)
    }
}

/// The time in `zone`, as in `2026-11-21 17:46:32`.
fn local_time(now: SystemTime, zone: &TimeZone) -> String {
    // A clock set to a year that no calendar has is an operator's joke; it is answered with the calendar's first.
    let zoned = Zoned::new(Timestamp::try_from(now).unwrap_or(Timestamp::MIN), zone.clone());
    zoned.strftime(Clock::FORMAT).to_string()
}

impl Default for Robot {
    fn default() -> Self {
        Self::new(Self::NAME, Self::rules(), TextEncoding::UTF_8, TimeZone::system())
    }
}

impl Service for Robot {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let answer = self.answer(payload, cx.wall_clock());
        cx.reply(&self.encoding.encode_lossy(&answer));
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        self.on_frame(cx, payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answers(robot: &Robot, asked: &[(&str, &str)]) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (message, answer) in asked {
            assert_eq!(robot.answer(message.as_bytes(), now), *answer, "{message}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_answers() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        answers(
            &Robot::new("R2", Robot::rules(), TextEncoding::UTF_8, zone),
            &[
                ("hello", "你好"),
                ("说你好", "你好"),
                ("your name?", "我是R2"),
                ("你叫什么名字", "我是R2"),
                ("hello, your name and the time?", "你好"),
                ("what time is it", "2001-09-09 09:46:40"),
                ("时间", "2001-09-09 09:46:40"),
                ("Hello", AT_A_LOSS),
                ("", AT_A_LOSS),
            ],
        );
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        let rules = vec![
            Rule { keywords: vec!["both".to_owned()], reply: "{name}{time}{name} {other}".to_owned() },
            Rule { keywords: vec!["none".to_owned()], reply: String::new() },
        ];
        let robot = Robot::new("{time}", rules, TextEncoding::UTF_8, TimeZone::UTC);
        answers(&robot, &[("both", "{time}2001-09-09 01:46:40{time} {other}"), ("none", ""), ("what", AT_A_LOSS)]);
    }

    #[test]
    fn what_is_no_text_is_answered_all_the_same() {
        let gbk: TextEncoding = "gbk".parse().unwrap();
        let robot = Robot::new("R2", Robot::rules(), gbk, TimeZone::UTC);
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(robot.answer(b"\xc4\xe3\xba\xc3", now), "你好");
        assert_eq!(robot.answer(b"\xff\xff", now), AT_A_LOSS);
        assert_eq!(robot.answer(b"\xff hello", now), "你好");
    }
}
