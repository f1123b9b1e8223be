//! Parsing and encoding for any dialect: dispatch to the dialect's own file.

use encoding_rs::{Encoding, UTF_8};

use super::kind::ChatDialect;
use super::{json, lines, operator};
use crate::frame::Framing;
use crate::frame::Payload;
use crate::service::CloseReason;
use crate::services::chat::colour::Palette;
use crate::services::chat::console;
use crate::services::chat::request::{ErrorReply, HubRequest, ParsedFrame, RoomText};
use crate::services::chat::wire::ChatEvent;

/// Parses a frame of a member. Returns `None` for a frame without content, such as an empty line.
pub(crate) fn parse_frame<'a>(
    dialect: ChatDialect,
    frame: &'a [u8],
    encoding: &'static Encoding,
) -> Option<ParsedFrame<'a>> {
    match dialect {
        ChatDialect::Json => Some(json::parse(frame)),
        ChatDialect::Lines | ChatDialect::Raw => {
            let request = lines::parse(frame, encoding).transpose()?;
            Some(ParsedFrame { request, label: None })
        }
    }
}

/// Parses a line of the operator. Returns `None` for an empty line.
pub(crate) fn parse_operator_line(line: &[u8]) -> Option<Result<HubRequest<'_>, ErrorReply>> {
    operator::parse(line).transpose()
}

/// Encodes an event and appends its frames to `out`: one payload, or one per line in `Lines`.
pub(crate) fn encode_event(
    dialect: ChatDialect,
    event: &ChatEvent<'_>,
    encoding: &'static Encoding,
    out: &mut Vec<Payload>,
) {
    match dialect {
        ChatDialect::Json => out.extend(encode_json(event)),
        ChatDialect::Lines => lines::format_event(event, |line| out.push(encode(line, encoding))),
        ChatDialect::Raw => {
            let mut text = String::new();
            lines::format_event(event, |line| {
                text.push_str(line);
                text.push('\n');
            });
            if !text.is_empty() {
                out.push(encode(&text, encoding));
            }
        }
    }
}

/// Encodes an event as JSON. That cannot fail: an event holds strings, numbers and lists of them
/// only.
pub(crate) fn encode_json(event: &ChatEvent<'_>) -> Option<Payload> {
    serde_json::to_vec(event).ok().map(Payload::from)
}

/// Returns the frames for a pending connection that the engine rejects: an `error` and a `bye`.
pub(crate) fn rejection(framing: Framing, reason: &CloseReason) -> Vec<Payload> {
    let (dialect, text) = (ChatDialect::of(framing), reason.to_string());
    let mut payloads = Vec::new();
    for event in [ErrorReply::new("full", text.as_str()).event(None), ChatEvent::Bye { reason: text.as_str().into() }] {
        encode_event(dialect, &event, UTF_8, &mut payloads);
    }
    payloads
}

/// Encodes plain text for a member of a text dialect and appends its frames to `out`.
pub(crate) fn encode_text(dialect: ChatDialect, text: &str, encoding: &'static Encoding, out: &mut Vec<Payload>) {
    match dialect {
        ChatDialect::Raw => out.push(encode(&format!("{text}\n"), encoding)),
        ChatDialect::Json | ChatDialect::Lines => out.extend(text.lines().map(|line| encode(line, encoding))),
    }
}

/// Encodes a message for a UDP member.
pub(crate) fn encode_datagram(from: &str, message: &RoomText<'_>, encoding: &'static Encoding) -> Payload {
    encode(&lines::format_datagram(from, &message.text, message.is_action), encoding)
}

/// Encodes an event for the operator's console, one payload per line.
pub(crate) fn encode_operator_event(event: &ChatEvent<'_>, palette: &Palette, out: &mut Vec<Payload>) {
    out.extend(console::render(event, palette).lines().map(Payload::from));
}

fn encode(text: &str, encoding: &'static Encoding) -> Payload {
    if encoding == UTF_8 { text.into() } else { Payload::from(&*encoding.encode(text).0) }
}
