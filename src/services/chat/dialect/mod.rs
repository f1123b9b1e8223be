//! The ways in which peers speak to the hub. Bytes to requests, events to bytes; no member and no room is known here.

mod datagram;
mod json;
mod lines;

pub(super) use datagram::{Said, hear as hear_datagram};
pub(super) use lines::{HELP, OPERATOR_HELP, claims_to_be_http, without_negotiation};

use encoding_rs::{Encoding, UTF_8};
use serde_json::Value;

use super::ask::{Ask, Refusal};
use super::colour::Palette;
use super::console;
use super::wire::Event;
use crate::frame::Framing;
use crate::frame::Payload;
use crate::service::CloseReason;

/// How a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One object a frame, under any length prefix.
    Json,
    /// One line a frame.
    Lines,
    /// As lines, but one read is one message, and line feeds are ours to add.
    Raw,
}

impl Dialect {
    pub(super) fn of(framing: Framing) -> Self {
        match framing {
            Framing::Lines => Self::Lines,
            Framing::Raw => Self::Raw,
            _ => Self::Json,
        }
    }
}

/// What was asked, or why that is not to be understood; and the label that the answer is to bear.
pub(super) struct Heard<'a> {
    pub(super) ask: Result<Ask<'a>, Refusal>,
    pub(super) label: Option<Value>,
}

/// Understands a frame. Nothing where there is nothing to understand, as in an empty line.
pub(super) fn hear<'a>(dialect: Dialect, frame: &'a [u8], encoding: &'static Encoding) -> Option<Heard<'a>> {
    match dialect {
        Dialect::Json => Some(json::hear(frame)),
        Dialect::Lines | Dialect::Raw => {
            let ask = lines::hear(frame, encoding).transpose()?;
            Some(Heard { ask, label: None })
        }
    }
}

/// Understands a line of the operator's.
pub(super) fn hear_operator(line: &[u8]) -> Option<Result<Ask<'_>, Refusal>> {
    lines::hear_operator(line).transpose()
}

/// What is told, ready to be framed: one payload, or several where a dialect needs several frames for it.
pub(super) fn tell(dialect: Dialect, event: &Event<'_>, encoding: &'static Encoding, out: &mut Vec<Payload>) {
    match dialect {
        // Strings, numbers and lists of them can always be written.
        Dialect::Json => out.extend(serde_json::to_vec(event).ok().map(Payload::from)),
        Dialect::Lines => lines::tell(event, |line| out.push(encoded(line, encoding))),
        Dialect::Raw => {
            let mut text = String::new();
            lines::tell(event, |line| {
                text.push_str(line);
                text.push('\n');
            });
            if !text.is_empty() {
                out.push(encoded(&text, encoding));
            }
        }
    }
}

/// What a newcomer is told for whom the server has no place.
pub(super) fn rejection(framing: Framing, reason: &CloseReason) -> Vec<Payload> {
    let (dialect, why) = (Dialect::of(framing), reason.to_string());
    let mut payloads = Vec::new();
    for event in [Refusal::new("full", why.as_str()).event(None), Event::Bye { reason: why.as_str().into() }] {
        tell(dialect, &event, UTF_8, &mut payloads);
    }
    payloads
}

/// Plain text for a member of a text dialect.
pub(super) fn tell_text(dialect: Dialect, text: &str, encoding: &'static Encoding, out: &mut Vec<Payload>) {
    match dialect {
        Dialect::Raw => out.push(encoded(&format!("{text}\n"), encoding)),
        Dialect::Json | Dialect::Lines => out.extend(text.lines().map(|line| encoded(line, encoding))),
    }
}

/// What a UDP member is sent.
pub(super) fn tell_datagram(from: &str, text: &str, encoding: &'static Encoding) -> Payload {
    encoded(&format!("{from} : {text}"), encoding)
}

/// What the operator is shown.
pub(super) fn tell_operator(event: &Event<'_>, palette: &Palette, out: &mut Vec<Payload>) {
    out.extend(console::render(event, palette).lines().map(Payload::from));
}

fn encoded(text: &str, encoding: &'static Encoding) -> Payload {
    if encoding == UTF_8 { text.into() } else { Payload::from(&*encoding.encode(text).0) }
}
