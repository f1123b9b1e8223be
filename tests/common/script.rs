//! Scripts of chat: who says what to the server, and what each is to hear. Text in, steps out; no socket and no hub is known here.
//!
//! A script is read from top to bottom, one step a line; `#` begins a comment.
//!
//! | line | means |
//! |---|---|
//! | `rule burst 5` | a rule of the server's, before anything else |
//! | `eva connects json` | or `lines`, `raw`, `udp`, `console`; `eva connects json from 127.0.0.9` |
//! | `eva > {"type":"ping"}` | she sends this: a frame, a line, a read, a datagram |
//! | `eva < {"type":"pong"}` | the next that she hears is this |
//! | `bob >> c4 e3`, `bob << c4 e3` | the same in hexadecimal |
//! | `eva silent` | nothing else has come for her |
//! | `eva closes`, `eva ends` | she hangs up; the server has hung up |
//! | `clock +60s` | a minute passes, where there is a clock to be moved |
//!
//! JSON is compared as values, and `"*"` is equal to anything. On `lines` and `raw` each line heard is a step of its own. Text that
//! has to be quoted is: `bob > "two\nlines"`. `${x*4096}` stands for 4,096 times `x`. At the end everybody has to have heard all there was.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::ChatRules;

/// A script, understood.
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) rules: ChatRules,
    pub(crate) steps: Vec<Step>,
}

/// One line of it.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) who: String,
    pub(crate) act: Act,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Connects(Speech, IpAddr),
    Says(Vec<u8>),
    Hears(Heard),
    Silent,
    Closes,
    Ends,
    Clock(Duration),
}

/// How somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Json,
    Lines,
    Raw,
    Udp,
    Console,
}

/// What is to be heard.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Json(Value),
    Bytes(Vec<u8>),
}

impl Heard {
    /// Whether this is it.
    pub(crate) fn is(&self, heard: &[u8]) -> bool {
        match self {
            Self::Bytes(bytes) => bytes == heard,
            Self::Json(value) => serde_json::from_slice(heard).is_ok_and(|heard: Value| matches(value, &heard)),
        }
    }
}

fn matches(expected: &Value, heard: &Value) -> bool {
    match (expected, heard) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Array(expected), Value::Array(heard)) => {
            expected.len() == heard.len() && expected.iter().zip(heard).all(|(one, other)| matches(one, other))
        }
        (Value::Object(expected), Value::Object(heard)) => {
            expected.len() == heard.len()
                && expected.iter().all(|(key, one)| heard.get(key).is_some_and(|other| matches(one, other)))
        }
        _ => expected == heard,
    }
}

impl Script {
    /// Understands a script; panics with the number of the line that it does not.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut script = Self { name: name.to_owned(), rules: ChatRules::default(), steps: Vec::new() };
        let mut speeches = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rule) = line.strip_prefix("rule ") {
                let known = rule.trim().split_once(' ').and_then(|(rule, value)| set(&mut script.rules, rule, value));
                known.unwrap_or_else(|| panic!("{name}:{line_number}: no such rule: {rule}"));
                continue;
            }
            let step = Step::parse(line_number, &expand(line), &mut speeches);
            script.steps.push(step.unwrap_or_else(|| panic!("{name}:{line_number}: not understood: {line}")));
        }
        script
    }

    /// Whether it needs what only a test without sockets has: a clock that can be moved, and peers on other machines.
    pub(crate) fn is_virtual(&self) -> bool {
        self.steps.iter().any(|step| match &step.act {
            Act::Clock(_) => true,
            Act::Connects(_, from) => !from.is_loopback(),
            _ => false,
        })
    }
}

impl Step {
    fn parse(line: usize, text: &str, speeches: &mut HashMap<String, Speech>) -> Option<Self> {
        let (who, rest) = text.split_once(' ')?;
        let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let act = if who == "clock" {
            Act::Clock(duration(verb.strip_prefix('+')?)?)
        } else if verb == "connects" {
            let (speech, from) = rest.split_once(" from ").unwrap_or((rest, "127.0.0.1"));
            let speech = Speech::parse(speech)?;
            speeches.insert(who.to_owned(), speech);
            Act::Connects(speech, from.parse().ok()?)
        } else {
            let speech = *speeches.get(who)?;
            match verb {
                ">" => Act::Says(if speech == Speech::Json { rest.as_bytes().to_vec() } else { unquoted(rest)? }),
                ">>" => Act::Says(hexadecimal(rest)?),
                "<" if speech == Speech::Json => Act::Hears(Heard::Json(serde_json::from_str(rest).ok()?)),
                "<" => Act::Hears(Heard::Bytes(unquoted(rest)?)),
                "<<" => Act::Hears(Heard::Bytes(hexadecimal(rest)?)),
                "silent" => Act::Silent,
                "closes" => Act::Closes,
                "ends" => Act::Ends,
                _ => return None,
            }
        };
        Some(Self { line, who: who.to_owned(), act })
    }
}

impl Speech {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.trim() {
            "json" => Self::Json,
            "lines" => Self::Lines,
            "raw" => Self::Raw,
            "udp" => Self::Udp,
            "console" => Self::Console,
            _ => return None,
        })
    }
}

fn set(rules: &mut ChatRules, rule: &str, value: &str) -> Option<()> {
    let value = value.trim();
    let number = || value.parse::<usize>().ok();
    match rule {
        "messages_per_second" => rules.messages_per_second = value.parse().ok()?,
        "burst" => rules.burst = value.parse().ok()?,
        "max_rooms_per_member" => rules.max_rooms_per_member = number()?,
        "max_rooms" => rules.max_rooms = number()?,
        "max_text_bytes" => rules.max_text_bytes = number()?,
        "max_kept_messages" => rules.max_kept_messages = number()?,
        "max_kept_bytes" => rules.max_kept_bytes = number()?,
        "announce_up_to" => rules.announce_up_to = number()?,
        "max_per_address" => rules.max_per_address = Some(number()?),
        "max_udp_members" => rules.max_udp_members = number()?,
        "udp_public" => rules.udp_public = value.parse().ok()?,
        "udp_silence" => rules.udp_silence = duration(value)?,
        "encoding" => rules.encoding = encoding_rs::Encoding::for_label(value.as_bytes())?,
        _ => return None,
    }
    Some(())
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(millis.parse().ok()?));
    }
    Some(Duration::from_secs(text.strip_suffix('s')?.parse().ok()?))
}

fn unquoted(text: &str) -> Option<Vec<u8>> {
    let text = if text.starts_with('"') { serde_json::from_str::<String>(text).ok()? } else { text.to_owned() };
    Some(text.into_bytes())
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// Writes out what is to be repeated.
fn expand(line: &str) -> String {
    let Some((before, rest)) = line.split_once("${") else { return line.to_owned() };
    let repeated = rest.split_once('}').and_then(|(inner, after)| {
        let (what, times) = inner.rsplit_once('*')?;
        Some((what.repeat(times.parse().ok()?), after))
    });
    let (repeated, after) = repeated.unwrap_or_else(|| panic!("${{TEXT*TIMES}} is how repetition is written: {line}"));
    format!("{before}{repeated}{}", expand(after))
}
