//! Chat scripts: what each client sends to the chat server and what it must receive. This module
//! only parses the text into steps; it knows no socket and no hub.
//!
//! A script is read from top to bottom, one step per line. `#` begins a comment.
//!
//! | line | meaning |
//! |---|---|
//! | `config max_burst_requests 5` | sets a field of the server's `ChatConfig`; these lines stand before the first step |
//! | `eva connects json` | or `lines`, `raw`, `udp`, `console`; also `… json from 127.0.0.9` |
//! | `eva > {"type":"ping"}` | the client sends this: a frame, a line, raw bytes or a datagram |
//! | `eva < {"type":"pong"}` | the next message that the client receives equals this |
//! | `bob >> c4 e3`, `bob << c4 e3` | the same in hexadecimal |
//! | `eva silent` | the client has no unread message |
//! | `eva closes`, `eva ends` | the client closes; the server has closed the connection |
//! | `clock +60s` | advances the clock by a minute, in tests with a virtual clock |
//!
//! JSON is compared as values, and `"*"` equals any value. With `lines` and `raw`, each received
//! line is a step of its own. Text with special characters is quoted: `bob > "two\nlines"`.
//! `${x*4096}` stands for 4,096 times `x`, and `${port}` or `${word}` in an expected text for any
//! letters and digits. At the end of the script no client may have an unread message.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::ChatConfig;

/// A parsed script.
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) config: ChatConfig,
    pub(crate) steps: Vec<ScriptStep>,
}

/// One line of a script.
pub(crate) struct ScriptStep {
    pub(crate) line_number: usize,
    pub(crate) client: String,
    pub(crate) action: ScriptAction,
}

/// The action of a step.
#[derive(Clone, Debug)]
pub(crate) enum ScriptAction {
    Connect(ClientKind, IpAddr),
    Send(Vec<u8>),
    Expect(ExpectedMessage),
    /// The client has no unread message.
    ExpectNothing,
    Close,
    /// The server has closed the connection.
    ExpectEnd,
    AdvanceClock(Duration),
}

/// The transport and dialect of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    Json,
    Lines,
    Raw,
    Udp,
    Console,
}

/// A message that a client must receive.
#[derive(Clone, Debug)]
pub(crate) enum ExpectedMessage {
    Json(Value),
    /// The parts of the text between the ports and words that it names.
    Bytes(Vec<Vec<u8>>),
}

/// Stands for any port or word in an expected text.
const PORT: &str = "${port}";

impl ExpectedMessage {
    /// Returns true if `received` is the expected message.
    pub(crate) fn matches(&self, received: &[u8]) -> bool {
        match self {
            Self::Bytes(parts) => parts_match(parts, received),
            Self::Json(value) => {
                serde_json::from_slice(received).is_ok_and(|received: Value| json_matches(value, &received))
            }
        }
    }
}

fn parts_match(parts: &[Vec<u8>], received: &[u8]) -> bool {
    let Some((first, others)) = parts.split_first() else { return received.is_empty() };
    let Some(rest) = received.strip_prefix(&**first) else { return false };
    if others.is_empty() {
        return rest.is_empty();
    }
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    word > 0 && parts_match(others, &rest[word..])
}

fn json_matches(expected: &Value, received: &Value) -> bool {
    match (expected, received) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Array(expected), Value::Array(received)) => {
            expected.len() == received.len()
                && expected.iter().zip(received).all(|(one, other)| json_matches(one, other))
        }
        (Value::Object(expected), Value::Object(received)) => {
            expected.len() == received.len()
                && expected.iter().all(|(key, one)| received.get(key).is_some_and(|other| json_matches(one, other)))
        }
        _ => expected == received,
    }
}

impl Script {
    /// Parses a script. Panics with the number of the first invalid line.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut script = Self { name: name.to_owned(), config: ChatConfig::default(), steps: Vec::new() };
        let mut kinds = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(setting) = line.strip_prefix("config ") {
                let known = setting
                    .trim()
                    .split_once(' ')
                    .and_then(|(field, value)| set_field(&mut script.config, field, value));
                known.unwrap_or_else(|| panic!("{name}:{line_number}: invalid setting: {setting}"));
                continue;
            }
            let step = ScriptStep::parse(line_number, &expand(line), &mut kinds);
            script.steps.push(step.unwrap_or_else(|| panic!("{name}:{line_number}: invalid step: {line}")));
        }
        script
    }

    /// Returns true if the script needs a virtual clock or clients on other machines. Such a script
    /// runs only in the hub's own tests, without sockets.
    pub(crate) fn is_virtual(&self) -> bool {
        self.steps.iter().any(|step| match &step.action {
            ScriptAction::AdvanceClock(_) => true,
            ScriptAction::Connect(_, from) => !from.is_loopback(),
            _ => false,
        })
    }
}

impl ScriptStep {
    fn parse(line_number: usize, text: &str, kinds: &mut HashMap<String, ClientKind>) -> Option<Self> {
        let (client, rest) = text.split_once(' ')?;
        let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let action = if client == "clock" {
            ScriptAction::AdvanceClock(duration(verb.strip_prefix('+')?)?)
        } else if verb == "connects" {
            let (kind, from) = rest.split_once(" from ").unwrap_or((rest, "127.0.0.1"));
            let kind = ClientKind::parse(kind)?;
            kinds.insert(client.to_owned(), kind);
            ScriptAction::Connect(kind, from.parse().ok()?)
        } else {
            let kind = *kinds.get(client)?;
            match verb {
                ">" if kind == ClientKind::Json => ScriptAction::Send(rest.as_bytes().to_vec()),
                ">" => ScriptAction::Send(unquoted(rest)?),
                ">>" => ScriptAction::Send(hexadecimal(rest)?),
                "<" if kind == ClientKind::Json => {
                    ScriptAction::Expect(ExpectedMessage::Json(serde_json::from_str(rest).ok()?))
                }
                "<" => {
                    let text = String::from_utf8(unquoted(rest)?).ok()?;
                    let parts = text.split(PORT).map(|part| part.as_bytes().to_vec()).collect();
                    ScriptAction::Expect(ExpectedMessage::Bytes(parts))
                }
                "<<" => ScriptAction::Expect(ExpectedMessage::Bytes(vec![hexadecimal(rest)?])),
                "silent" => ScriptAction::ExpectNothing,
                "closes" => ScriptAction::Close,
                "ends" => ScriptAction::ExpectEnd,
                _ => return None,
            }
        };
        Some(Self { line_number, client: client.to_owned(), action })
    }
}

impl ClientKind {
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

/// Sets one field. Returns `None` if the field is unknown or the value is invalid.
fn set_field(config: &mut ChatConfig, field: &str, value: &str) -> Option<()> {
    let value = value.trim();
    let number = || value.parse::<usize>().ok();
    match field {
        "max_requests_per_second" => config.max_requests_per_second = value.parse().ok()?,
        "max_burst_requests" => config.max_burst_requests = value.parse().ok()?,
        "max_rooms_per_member" => config.max_rooms_per_member = number()?,
        "max_rooms" => config.max_rooms = number()?,
        "max_text_bytes" => config.max_text_bytes = number()?,
        "max_kept_messages" => config.max_kept_messages = number()?,
        "max_kept_bytes" => config.max_kept_bytes = number()?,
        "max_announcing_room_members" => config.max_announcing_room_members = number()?,
        "max_members_per_address" => config.max_members_per_address = Some(number()?),
        "max_udp_members" => config.max_udp_members = number()?,
        "proves_loopback_addresses" => config.proves_loopback_addresses = value.parse().ok()?,
        "accepts_remote_datagrams" => config.accepts_remote_datagrams = value.parse().ok()?,
        "udp_idle_timeout" => config.udp_idle_timeout = duration(value)?,
        "encoding" => config.encoding = encoding_rs::Encoding::for_label(value.as_bytes())?,
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

/// Replaces each `${TEXT*TIMES}` with the repeated text.
fn expand(line: &str) -> String {
    let Some((before, rest)) = line.split_once("${") else { return line.to_owned() };
    if let Some(after) = rest.strip_prefix("port}").or_else(|| rest.strip_prefix("word}")) {
        return format!("{before}{PORT}{}", expand(after));
    }
    let repeated = rest.split_once('}').and_then(|(inner, after)| {
        let (text, times) = inner.rsplit_once('*')?;
        Some((text.repeat(times.parse().ok()?), after))
    });
    let (repeated, after) = repeated.unwrap_or_else(|| panic!("invalid repetition, expected ${{TEXT*TIMES}}: {line}"));
    format!("{before}{repeated}{}", expand(after))
}
