//! The robot service: replies by keywords.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
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
    language: RobotLanguage,
    rules: Arc<[RobotRule]>,
    /// The rules for a message that is answered in English.
    english_rules: Arc<[RobotRule]>,
    encoding: TextEncoding,
    zone: TimeZone,
}

/// The language of a robot's own replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RobotLanguage {
    /// Chinese if the message has a Chinese character, English otherwise. The reply to `hello` is
    /// Chinese in any case.
    #[default]
    Auto,
    /// Chinese.
    Chinese,
    /// English.
    English,
}

impl RobotLanguage {
    /// The languages with their names on the command line.
    pub const NAMES: [(&'static str, Self); 3] = [("auto", Self::Auto), ("zh", Self::Chinese), ("en", Self::English)];

    /// Returns true if `message` is answered in English.
    fn is_english(self, message: &str) -> bool {
        match self {
            Self::Auto => !message.chars().any(is_chinese),
            Self::Chinese => false,
            Self::English => true,
        }
    }
}

impl FromStr for RobotLanguage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, language)| *language).ok_or("write auto, zh or en")
    }
}

impl fmt::Display for RobotLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, language)| language == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Returns true for a Chinese character, of the Unicode script Han.
fn is_chinese(character: char) -> bool {
    matches!(
        character,
        '\u{2E80}'..='\u{2FDF}' | '\u{3005}' | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}'
    )
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

/// The same in English.
const DEFAULT_REPLY_IN_ENGLISH: &str = "I do not understand. Ask me for my name or the time.";

impl Robot {
    /// The name of [`Robot::default`].
    pub const NAME: &str = "switchboard";

    /// Creates a robot with this name that tries `rules` in order and gives the time in `zone`. It
    /// has a Chinese reply to a message that matches no rule.
    pub fn new(name: &str, rules: Vec<RobotRule>, encoding: TextEncoding, zone: TimeZone) -> Self {
        let rules: Arc<[RobotRule]> = rules.into();
        let english_rules = Arc::clone(&rules);
        Self { name: name.into(), language: RobotLanguage::Chinese, rules, english_rules, encoding, zone }
    }

    /// Creates a robot with the built-in rules, which replies in `language`.
    ///
    /// ```
    /// # use switchboard::services::{Robot, RobotLanguage};
    /// # let zone = jiff::tz::TimeZone::UTC;
    /// // "what is your name?" gets "I am R2", and "你叫什么名字" gets "我是R2".
    /// let robot = Robot::with_built_in_rules("R2", RobotLanguage::Auto, Default::default(), zone);
    /// ```
    pub fn with_built_in_rules(name: &str, language: RobotLanguage, encoding: TextEncoding, zone: TimeZone) -> Self {
        let hello = if language == RobotLanguage::English { "hello" } else { "你好" };
        let english_rules = built_in_rules([hello, "I am {name}", DEFAULT_REPLY_IN_ENGLISH]).into();
        Self { language, english_rules, ..Self::new(name, Self::rules(), encoding, zone) }
    }

    /// Returns this robot with the reply to a message that matches no rule in `language`. The
    /// replies of its rules stay as they are.
    #[must_use]
    pub fn language(self, language: RobotLanguage) -> Self {
        Self { language, ..self }
    }

    /// Returns the built-in rules with Chinese replies, those of [`Robot::default`].
    pub fn rules() -> Vec<RobotRule> {
        built_in_rules(["你好", "我是{name}", DEFAULT_REPLY])
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
        let (rules, default_reply) = if self.language.is_english(&message) {
            (&self.english_rules, DEFAULT_REPLY_IN_ENGLISH)
        } else {
            (&self.rules, DEFAULT_REPLY)
        };
        let reply = rules.iter().find(matches).map_or(default_reply, |rule| &rule.reply);
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

/// Returns the built-in rules with these replies to a greeting, to the question for the name, and
/// to any other message.
fn built_in_rules([hello, name, other]: [&str; 3]) -> Vec<RobotRule> {
    let rule = |keywords: &[&str], reply: &str| {
        let keywords = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
        RobotRule { keywords, reply: reply.to_owned() }
    };
    vec![
        rule(&["你好", "hello"], hello),
        rule(&["名字", "name"], name),
        rule(&["时间", "time"], "{time}"),
        rule(&[], other),
    ]
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
    fn language_of_the_reply_follows_the_message_or_is_fixed() {
        let robot = |language| Robot::with_built_in_rules("R2", language, TextEncoding::UTF_8, TimeZone::UTC);
        let other = DEFAULT_REPLY_IN_ENGLISH;
        for (message, chinese, auto, english) in [
            ("hello", "你好", "你好", "hello"),
            ("你好", "你好", "你好", "hello"),
            ("what is your name?", "我是R2", "I am R2", "I am R2"),
            ("你叫什么名字", "我是R2", "我是R2", "I am R2"),
            ("name 是什么", "我是R2", "我是R2", "I am R2"),
            ("time", "2001-09-09 01:46:40", "2001-09-09 01:46:40", "2001-09-09 01:46:40"),
            ("why?", DEFAULT_REPLY, other, other),
            ("为什么?", DEFAULT_REPLY, DEFAULT_REPLY, other),
            ("", DEFAULT_REPLY, other, other),
        ] {
            assert_replies(&robot(RobotLanguage::Chinese), &[(message, chinese)]);
            assert_replies(&robot(RobotLanguage::Auto), &[(message, auto)]);
            assert_replies(&robot(RobotLanguage::English), &[(message, english)]);
        }
        assert_eq!(robot(RobotLanguage::Auto).reply_to(b"\xff", SystemTime::UNIX_EPOCH), other);
    }

    #[test]
    fn language_does_not_change_the_replies_of_other_rules() {
        let rules = vec![RobotRule { keywords: vec!["name".to_owned()], reply: "我叫{name}".to_owned() }];
        let robot = Robot::new("R2", rules, TextEncoding::UTF_8, TimeZone::UTC).language(RobotLanguage::Auto);
        assert_replies(
            &robot,
            &[("your name?", "我叫R2"), ("什么", DEFAULT_REPLY), ("what", DEFAULT_REPLY_IN_ENGLISH)],
        );
    }

    #[test]
    fn languages_have_names() {
        for (name, language) in RobotLanguage::NAMES {
            assert_eq!((name.parse(), language.to_string().as_str()), (Ok(language), name));
        }
        assert!("fr".parse::<RobotLanguage>().is_err());
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
