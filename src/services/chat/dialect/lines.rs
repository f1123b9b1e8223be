//! Lines, as telnet and nc send them: text, or a command after a slash. Raw reads are the same with line feeds of their own.
//!
//! Nothing that a member says can look like something the server says: a text is sent behind its speaker's name, and its further
//! lines are indented.

use std::borrow::Cow;
use std::net::IpAddr;

use encoding_rs::{Encoding, UTF_8};

use super::json::not_utf8;
use crate::frame::escape::CONTINUATION_INDENT;
use crate::services::chat::ask::{Ask, Order, Refusal};
use crate::services::chat::wire::{Event, Listed};

pub(in crate::services::chat) const HELP: &str = "\
* text is said to the room you are in; // at its start stands for one slash
* /nick NAME      take a name
* /join ROOM      enter a room, and speak there from now on
* /leave [ROOM]   leave it
* /msg NICK TEXT  say something to one person
* /who [ROOM]     who is there; /who ROOM N goes on from N
* /rooms [N]      which rooms there are
* /me             who am I, and where
* /quit           go";

pub(in crate::services::chat) const OPERATOR_HELP: &str = "\
* text is said to the room you are in; @nick text to one person
* /join ROOM      speak there from now on
* /kick NICK      end somebody's connection
* /ban ADDR       end an address's connections and take no more from it
* /unban ADDR     take them again
* /bans           which addresses are banned
* /who [ROOM]     who is there
* /rooms          which rooms there are
* /stats          counts
* /quit           stop the server in good order";

/// Understands a member's line; nothing where it is empty.
pub(super) fn hear<'a>(frame: &'a [u8], encoding: &'static Encoding) -> Result<Option<Ask<'a>>, Refusal> {
    let text = decode(frame, encoding)?;
    let Some(command) = command(&text) else { return Ok(said(text)) };
    let Command { name, rest } = command;
    let mut words = rest.split_whitespace();
    let ask = match name {
        "nick" => Ask::Nick { nick: one(words, "/nick NAME")? },
        "join" => Ask::Join { room: one(words, "/join ROOM")?, since: None },
        "leave" => Ask::Leave { room: words.next().map(owned) },
        "msg" => {
            let (to, text) = first_word(rest, "/msg NICK TEXT")?;
            Ask::Whisper { to, text }
        }
        "who" => Ask::Who { room: words.next().map(owned), next: number(words.next(), "/who ROOM N")? },
        "rooms" => Ask::Rooms { next: number(words.next(), "/rooms N")? },
        "me" => Ask::Me,
        "help" => Ask::Help,
        "quit" => Ask::Quit,
        _ => return Err(unknown(name)),
    };
    Ok(Some(ask))
}

/// Understands a line of the operator's.
pub(super) fn hear_operator(frame: &[u8]) -> Result<Option<Ask<'_>>, Refusal> {
    let text = decode(frame, UTF_8)?;
    if let Some(rest) = text.strip_prefix('@') {
        let (to, text) = first_word(rest, "@nick text")?;
        return Ok(Some(Ask::Whisper { to, text }));
    }
    let Some(command) = command(&text) else { return Ok(said(text)) };
    let Command { name, rest } = command;
    let mut words = rest.split_whitespace();
    let ask = match name {
        "join" => Ask::Join { room: one(words, "/join ROOM")?, since: None },
        "kick" => Ask::Operator(Order::Kick { nick: one(words, "/kick NICK")? }),
        "ban" => Ask::Operator(Order::Ban { address: address(words.next(), "/ban ADDR")? }),
        "unban" => Ask::Operator(Order::Unban { address: address(words.next(), "/unban ADDR")? }),
        "bans" => Ask::Operator(Order::Bans),
        "who" => Ask::Who { room: words.next().map(owned), next: number(words.next(), "/who ROOM N")? },
        "rooms" => Ask::Rooms { next: number(words.next(), "/rooms N")? },
        "stats" => Ask::Operator(Order::Stats),
        "help" => Ask::Help,
        "quit" => Ask::Operator(Order::Shutdown),
        _ => return Err(unknown(name)),
    };
    Ok(Some(ask))
}

/// Whether a connection's first line is that of an HTTP request (RFC 9112, 3): a browser that was led here, or a scanner.
pub(in crate::services::chat) fn claims_to_be_http(frame: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH "];
    let line = frame.split(|byte| *byte == b'\n').next().unwrap_or_default();
    METHODS.iter().any(|method| line.starts_with(method)) && memchr::memmem::find(line, b" HTTP/").is_some()
}

struct Command<'t> {
    name: &'t str,
    rest: &'t str,
}

fn command(text: &str) -> Option<Command<'_>> {
    let line = text.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some(Command { name, rest: rest.trim() })
}

fn said(text: Cow<'_, str>) -> Option<Ask<'_>> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(without_escape(text)),
        Cow::Owned(text) => Cow::Owned(without_escape(&text).to_owned()),
    };
    (!text.is_empty()).then_some(Ask::Say { room: None, text })
}

fn without_escape(text: &str) -> &str {
    if text.starts_with("//") { text.get(1..).unwrap_or_default() } else { text }
}

/// A line without what a telnet client says to a telnet server (RFC 854): such bytes are in no UTF-8 text.
pub(in crate::services::chat) fn without_negotiation(line: &[u8]) -> Cow<'_, [u8]> {
    const IAC: u8 = 255;
    const SUBNEGOTIATION: u8 = 250;
    const END: u8 = 240;
    if memchr::memchr(IAC, line).is_none() {
        return line.into();
    }
    let mut text = Vec::new();
    let mut rest = line;
    while let Some(at) = memchr::memchr(IAC, rest) {
        let (before, command) = rest.split_at(at);
        text.extend_from_slice(before);
        let len = match command.get(1) {
            Some(&SUBNEGOTIATION) => memchr::memmem::find(command, &[IAC, END]).map_or(command.len(), |end| end + 2),
            // Will, won't, do and don't name an option.
            Some(251..=254) => 3,
            _ => 2,
        };
        rest = command.get(len..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text.into()
}

/// The text of a line or a read, without the end of its last line.
fn decode<'a>(frame: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>, Refusal> {
    let text = if encoding == UTF_8 {
        Cow::from(std::str::from_utf8(frame).map_err(|error| not_utf8(error.valid_up_to()))?)
    } else {
        let decoded = encoding.decode_without_bom_handling_and_without_replacement(frame);
        let name = encoding.name();
        decoded.ok_or_else(|| Refusal::new("bad-text", format!("the text is not valid {name}")))?
    };
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(['\r', '\n'])),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches(['\r', '\n']).to_owned()),
    };
    // A read may hold several lines, ended as telnet ends them.
    Ok(if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { text })
}

fn owned<'a>(word: &str) -> Cow<'a, str> {
    Cow::Owned(word.to_owned())
}

fn one<'w, 'a>(mut words: impl Iterator<Item = &'w str>, usage: &str) -> Result<Cow<'a, str>, Refusal> {
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(owned(word)),
        _ => Err(write_instead(usage)),
    }
}

fn first_word<'a>(rest: &str, usage: &str) -> Result<(Cow<'a, str>, Cow<'a, str>), Refusal> {
    match rest.split_once(char::is_whitespace) {
        Some((word, text)) if !word.is_empty() => Ok((owned(word), owned(text.trim_start()))),
        _ => Err(write_instead(usage)),
    }
}

fn number(word: Option<&str>, usage: &str) -> Result<Option<u64>, Refusal> {
    word.map(|word| word.parse().map_err(|_| write_instead(usage))).transpose()
}

fn address(word: Option<&str>, usage: &str) -> Result<IpAddr, Refusal> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| write_instead(usage))
}

fn write_instead(usage: &str) -> Refusal {
    Refusal::new("bad-command", format!("write {usage}"))
}

fn unknown(name: &str) -> Refusal {
    Refusal::new("unknown-command", format!("there is no command {:?}; /help lists them", format!("/{name}")))
}

/// An event in lines.
pub(super) fn tell(event: &Event<'_>, mut line: impl FnMut(&str)) {
    match event {
        Event::Welcome { nick, rooms, .. } => {
            line(&format!("* you are {nick}, in {}; /help lists the commands", list(rooms)));
        }
        Event::Joined { room, nick } => line(&format!("* {nick} has joined {room}")),
        Event::Left { room, nick } => line(&format!("* {nick} has left {room}")),
        Event::Message { room, from, text, .. } => spoken(&format!("[{room}] {from}: "), text, line),
        Event::Whisper { from, to, text, .. } => spoken(&format!("[{from} -> {to}] "), text, line),
        Event::Who { room, count, nicks, next } => {
            line(&format!("* {count} in {room}: {}", list(nicks)));
            if let Some(next) = next {
                line(&format!("* /who {room} {next} goes on"));
            }
        }
        Event::Rooms { rooms, next } => {
            let rooms: Vec<_> = rooms.iter().map(|Listed { room, members }| format!("{room} ({members})")).collect();
            line(&format!("* {}", rooms.join(", ")));
            if let Some(next) = next {
                line(&format!("* /rooms {next} goes on"));
            }
        }
        Event::Renamed { was, nick } => line(&format!("* {was} is now {nick}")),
        Event::Pong => line("* pong"),
        Event::Bye { reason } => line(&format!("* bye: {reason}")),
        Event::Error { text, .. } => line(&format!("! {text}")),
        Event::Ack { .. } => {}
    }
}

/// A text behind its speaker's name. Its further lines are indented, so that none looks like somebody's, and no more than that:
/// the name before each would make fifty bytes of one, for every member.
fn spoken(speaker: &str, text: &str, mut line: impl FnMut(&str)) {
    let mut parts = text.split('\n');
    line(&format!("{speaker}{}", parts.next().unwrap_or_default()));
    parts.for_each(|part| line(&format!("{CONTINUATION_INDENT}{part}")));
}

fn list(names: &[Cow<'_, str>]) -> String {
    if names.is_empty() { "no room".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(line: &str) -> Result<Option<Ask<'_>>, Refusal> {
        hear(line.as_bytes(), UTF_8)
    }

    fn say(text: &str) -> Ask<'_> {
        Ask::Say { room: None, text: text.into() }
    }

    #[test]
    fn text_is_said_and_commands_are_done() {
        assert_eq!(heard("hello /there ").unwrap(), Some(say("hello /there ")));
        assert_eq!(heard("//etc").unwrap(), Some(say("/etc")));
        assert_eq!(heard("a\r\nb\r\n").unwrap(), Some(say("a\nb")));
        assert_eq!(heard("").unwrap(), None);
        assert_eq!(heard("\r\n").unwrap(), None);
        assert_eq!(heard("/nick eva\r").unwrap(), Some(Ask::Nick { nick: "eva".into() }));
        assert_eq!(
            heard("/msg bob  two words").unwrap(),
            Some(Ask::Whisper { to: "bob".into(), text: "two words".into() })
        );
        assert_eq!(heard("/who news 256").unwrap(), Some(Ask::Who { room: Some("news".into()), next: Some(256) }));
    }

    #[test]
    fn a_command_that_is_not_understood_says_how_it_is_written() {
        for (line, code, says) in [
            ("/nick", "bad-command", "/nick NAME"),
            ("/nick two words", "bad-command", "/nick NAME"),
            ("/msg bob", "bad-command", "/msg NICK TEXT"),
            ("/dance", "unknown-command", "\"/dance\""),
            ("/kick eva", "unknown-command", "/help"),
        ] {
            let refusal = heard(line).unwrap_err();
            assert_eq!(refusal.code, code, "{line}");
            assert!(refusal.text.contains(says), "{line}: {refusal:?}");
        }
        assert_eq!(hear(b"ab\xff", UTF_8).unwrap_err().code, "bad-utf8");
        assert_eq!(hear(b"\xff\xff", encoding_rs::GBK).unwrap_err().code, "bad-text");
        assert_eq!(hear(b"\xc4\xe3", encoding_rs::GBK).unwrap(), Some(say("你")));
    }

    #[test]
    fn what_telnet_says_to_telnet_is_no_text() {
        let plain = |line: &'static [u8]| without_negotiation(line).into_owned();
        assert_eq!(plain(b"hello"), b"hello");
        assert_eq!(plain(b"\xff\xfb\x1f\xff\xfd\x03hel\xff\xf1lo"), b"hello");
        assert_eq!(plain(b"\xff\xfa\x1f\0\x50\0\x18\xff\xf0hello"), b"hello");
        for cut in [&b"a\xff"[..], b"a\xff\xfb", b"a\xff\xfa\x1f"] {
            assert_eq!(without_negotiation(cut).as_ref(), b"a");
        }
    }

    #[test]
    fn the_operator_has_more_to_say() {
        let heard = |line: &'static str| hear_operator(line.as_bytes()).unwrap().unwrap();
        assert_eq!(heard("@bob hi you"), Ask::Whisper { to: "bob".into(), text: "hi you".into() });
        assert_eq!(heard("/ban ::1"), Ask::Operator(Order::Ban { address: "::1".parse().unwrap() }));
        assert_eq!(heard("/quit"), Ask::Operator(Order::Shutdown));
        assert_eq!(hear_operator(b"/ban eva").unwrap_err().code, "bad-command");
    }

    #[test]
    fn only_a_request_line_claims_to_be_http() {
        assert!(claims_to_be_http(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(claims_to_be_http(b"POST /x HTTP/1.0"));
        assert!(!claims_to_be_http(b"GET lost"));
        assert!(!claims_to_be_http(b"what is HTTP/2?"));
    }

    #[test]
    fn no_line_of_a_text_looks_like_somebody_elses() {
        let mut lines = Vec::new();
        let (room, from, text, at) = ("lobby".into(), "eva".into(), "hi\n[lobby] bob: ha".into(), "".into());
        tell(&Event::Message { room, id: 1, from, text, at }, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["[lobby] eva: hi", "    [lobby] bob: ha"]);
    }
}
