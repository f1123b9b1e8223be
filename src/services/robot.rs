//! The robot service: replies by keywords.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Deserialize;

use super::clock::Clock;
use super::text_frame::text_of_frame;
use crate::frame::TextEncoding;
use crate::service::{Context, Service, ServiceOptions};

/// Replies to each message by the first rule with a keyword in it.
///
/// A message that is not valid text in the encoding gets a reply, too: keywords are searched in its
/// valid parts.
#[derive(Clone, Debug)]
pub struct Robot {
    name: Arc<str>,
    rules: Arc<[RobotRule]>,
    encoding: TextEncoding,
    zone: TimeZone,
}

/// One rule: keywords and the reply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotRule {
    /// The rule matches a message that contains one of these, compared exactly. A rule without
    /// keywords matches every message.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// The reply. `{name}` is replaced by the robot's name, `{time}` by the local time, such as
    /// `2026-11-21 17:46:32`.
    pub reply: String,
}

/// The reply without a matching rule: "I cannot understand what you mean, how embarrassing".
const DEFAULT_REPLY: &str = "我不能明白您的意思,好尴尬啊...";

impl Robot {
    /// The name of [`Robot::default`].
    pub const NAME: &str = "switchboard";

    /// Creates a robot with this name that tries `rules` in order and gives the time in `zone`.
    pub fn new(name: &str, rules: Vec<RobotRule>, encoding: TextEncoding, zone: TimeZone) -> Self {
        Self { name: name.into(), rules: rules.into(), encoding, zone }
    }

    /// Returns the rules of [`Robot::default`].
    pub fn rules() -> Vec<RobotRule> {
        let rule = |keywords: &[&str], reply: &str| {
            let keywords = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
            RobotRule { keywords, reply: reply.to_owned() }
        };
        vec![
            rule(&["你好", "hello"], "你好"),
            rule(&["名字", "name"], "我是{name}"),
            rule(&["时间", "time"], "{time}"),
            rule(&[], DEFAULT_REPLY),
        ]
    }

    /// Returns the options of this service: a clone for each connection, and a limit on the
    /// datagrams of one source.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        ServiceOptions::new(name)
            .clone_per_connection(self)
            .answers_per_second(ServiceOptions::DEFAULT_ANSWERS_PER_SECOND)
    }

    fn reply_to(&self, message: &[u8], now: SystemTime) -> String {
        let message = self.encoding.decode_lossy(message);
        let matches = |rule: &&RobotRule| {
            rule.keywords.is_empty() || rule.keywords.iter().any(|keyword| message.contains(keyword.as_str()))
        };
        let reply = self.rules.iter().find(matches).map_or(DEFAULT_REPLY, |rule| &rule.reply);
        // The name is inserted last, because it may contain text that looks like a placeholder.
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

/// Formats the time in `zone`, such as `2026-11-21 17:46:32`.
fn local_time(now: SystemTime, zone: &TimeZone) -> String {
    // A system clock outside of the calendar's range is shown as the calendar's first moment.
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
        let message = text_of_frame(cx, payload, self.encoding);
        let reply = self.reply_to(&message, cx.wall_clock());
        cx.reply(&self.encoding.encode_lossy(&reply));
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        self.on_frame(cx, payload);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn assert_replies(robot: &Robot, expected: &[(&str, &str)]) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (message, reply) in expected {
            assert_eq!(robot.reply_to(message.as_bytes(), now), *reply, "{message}");
        }
    }

    #[test]
    fn the_first_matching_rule_gives_the_reply() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        assert_replies(
            &Robot::new("R2", Robot::rules(), TextEncoding::UTF_8, zone),
            &[
                ("hello", "你好"),
                ("说你好", "你好"),
                ("your name?", "我是R2"),
                ("你叫什么名字", "我是R2"),
                ("hello, your name and the time?", "你好"),
                ("what time is it", "2001-09-09 09:46:40"),
                ("时间", "2001-09-09 09:46:40"),
                ("Hello", DEFAULT_REPLY),
                ("", DEFAULT_REPLY),
            ],
        );
    }

    #[test]
    fn placeholders_are_replaced_once() {
        let rules = vec![
            RobotRule { keywords: vec!["both".to_owned()], reply: "{name}{time}{name} {other}".to_owned() },
            RobotRule { keywords: vec!["none".to_owned()], reply: String::new() },
        ];
        let robot = Robot::new("{time}", rules, TextEncoding::UTF_8, TimeZone::UTC);
        assert_replies(
            &robot,
            &[("both", "{time}2001-09-09 01:46:40{time} {other}"), ("none", ""), ("what", DEFAULT_REPLY)],
        );
    }

    #[test]
    fn invalid_text_gets_a_reply() {
        let gbk: TextEncoding = "gbk".parse().unwrap();
        let robot = Robot::new("R2", Robot::rules(), gbk, TimeZone::UTC);
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(robot.reply_to(b"\xc4\xe3\xba\xc3", now), "你好");
        assert_eq!(robot.reply_to(b"\xff\xff", now), DEFAULT_REPLY);
        assert_eq!(robot.reply_to(b"\xff hello", now), "你好");
    }
}
