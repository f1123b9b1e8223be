//! Lines, as telnet and nc send them: text, or a command after a slash. The raw dialect has the
//! same lines, with their line feeds.
//!
//! Invariant: a member cannot imitate a line of the server or of another member. Each text follows
//! its sender's nick, and its second and further lines are indented.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

use super::utf8::invalid_utf8;
use crate::frame::escape::CONTINUATION_INDENT;
use crate::services::chat::request::{ErrorReply, HubRequest, RoomText};
use crate::services::chat::wire::{ChatEvent, RoomListing};

/// The characters of a text that end a line, on a terminal or in a program. `check_text` refuses
/// all others.
const LINE_BREAKS: [char; 3] = ['\n', '\u{2028}', '\u{2029}'];

/// The answer to `/help`.
pub(crate) const MEMBER_HELP: &str = "\
* text is sent to your current room; // at its start stands for one slash
* /nick NAME      change your nick
* /join ROOM      enter a room and make it your current room
* /leave [ROOM]   leave a room
* /msg NICK TEXT  send text to one member
* /who [ROOM]     list the members; /who ROOM N continues from N
* /rooms [N]      list the rooms
* /me TEXT        send an action: /me waves is shown as * NICK waves
* /me             show your nick and rooms
* /quit           disconnect";

/// Parses a line of a member. Returns `None` for an empty line.
pub(super) fn parse<'a>(frame: &'a [u8], encoding: &'static Encoding) -> Result<Option<HubRequest<'a>>, ErrorReply> {
    let text = decode(frame, encoding)?;
    let Some(SlashCommand { name, rest }) = split_command(&text) else { return Ok(say_request(text)) };
    let mut words = rest.split_whitespace();
    let request = match name {
        "nick" => HubRequest::Nick { nick: only_word(words, "/nick NAME")? },
        "join" => HubRequest::Join { room: only_word(words, "/join ROOM")?, since: None },
        "leave" => HubRequest::Leave { room: words.next().map(to_cow) },
        "msg" => {
            let (to, text) = split_first_word(rest, "/msg NICK TEXT")?;
            HubRequest::Whisper { to, text }
        }
        "who" => HubRequest::Who { room: words.next().map(to_cow), next: parse_number(words.next(), "/who ROOM N")? },
        "rooms" => HubRequest::Rooms { next: parse_number(words.next(), "/rooms N")? },
        "me" if rest.is_empty() => HubRequest::Me,
        "me" => HubRequest::Say { room: None, message: RoomText::action(rest.to_owned()) },
        "help" => HubRequest::Help,
        "quit" => HubRequest::Quit,
        _ => return Err(unknown_command(name)),
    };
    Ok(Some(request))
}

/// Returns true if the first line of `frame` is an HTTP request line (RFC 9112, section 3), as a
/// browser or a port scanner sends it.
pub(crate) fn is_http_request(frame: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH "];
    let line = frame.split(|byte| *byte == b'\n').next().unwrap_or_default();
    METHODS.iter().any(|method| line.starts_with(method)) && memchr::memmem::find(line, b" HTTP/").is_some()
}

/// A line that starts with one slash, split at the first white space.
pub(super) struct SlashCommand<'t> {
    pub(super) name: &'t str,
    pub(super) rest: &'t str,
}

/// Splits a command line. Returns `None` if `text` is a message: without a slash, or with two.
pub(super) fn split_command(text: &str) -> Option<SlashCommand<'_>> {
    let line = text.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some(SlashCommand { name, rest: rest.trim() })
}

/// Returns the request that sends `text` to the current room, or `None` if the text is empty.
pub(super) fn say_request(text: Cow<'_, str>) -> Option<HubRequest<'_>> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(unescape_slash(text)),
        Cow::Owned(text) => Cow::Owned(unescape_slash(&text).to_owned()),
    };
    (!text.is_empty()).then_some(HubRequest::Say { room: None, message: RoomText::message(text) })
}

/// Replaces two leading slashes by one.
fn unescape_slash(text: &str) -> &str {
    if text.starts_with("//") { text.get(1..).unwrap_or_default() } else { text }
}

/// Decodes a line or a read, and removes the line ending at its end.
pub(super) fn decode<'a>(frame: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>, ErrorReply> {
    let text = if encoding == UTF_8 {
        Cow::from(std::str::from_utf8(frame).map_err(|error| invalid_utf8(error.valid_up_to()))?)
    } else {
        let decoded = encoding.decode_without_bom_handling_and_without_replacement(frame);
        let name = encoding.name();
        decoded.ok_or_else(|| ErrorReply::new("bad-text", format!("the text is not valid {name}")))?
    };
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(['\r', '\n'])),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches(['\r', '\n']).to_owned()),
    };
    // A read of the raw dialect may hold several lines, which telnet ends with CR LF.
    Ok(if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { text })
}

pub(super) fn to_cow<'a>(word: &str) -> Cow<'a, str> {
    Cow::Owned(word.to_owned())
}

/// Returns the only word of a command's arguments.
pub(super) fn only_word<'w, 'a>(
    mut words: impl Iterator<Item = &'w str>,
    usage: &str,
) -> Result<Cow<'a, str>, ErrorReply> {
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(to_cow(word)),
        _ => Err(usage_error(usage)),
    }
}

/// Splits the first word from the rest of the line.
pub(super) fn split_first_word<'a>(rest: &str, usage: &str) -> Result<(Cow<'a, str>, Cow<'a, str>), ErrorReply> {
    match rest.split_once(char::is_whitespace) {
        Some((word, text)) if !word.is_empty() => Ok((to_cow(word), to_cow(text.trim_start()))),
        _ => Err(usage_error(usage)),
    }
}

pub(super) fn parse_number(word: Option<&str>, usage: &str) -> Result<Option<u64>, ErrorReply> {
    word.map(|word| word.parse().map_err(|_| usage_error(usage))).transpose()
}

/// Returns the reply to a command whose arguments are wrong.
pub(super) fn usage_error(usage: &str) -> ErrorReply {
    ErrorReply::new("bad-command", format!("write {usage}"))
}

pub(super) fn unknown_command(name: &str) -> ErrorReply {
    ErrorReply::new("unknown-command", format!("unknown command {:?}; /help lists the commands", format!("/{name}")))
}

/// Formats an event and calls `line` for each line of it.
pub(super) fn format_event(event: &ChatEvent<'_>, mut line: impl FnMut(&str)) {
    match event {
        ChatEvent::Welcome { nick, rooms, .. } => {
            line(&format!("* you are {nick}, in {}; /help lists the commands", list(rooms)));
        }
        ChatEvent::Joined { room, nick } => line(&format!("* {nick} has joined {room}")),
        ChatEvent::Left { room, nick } => line(&format!("* {nick} has left {room}")),
        ChatEvent::Message { room, from, text, action: true, .. } => {
            format_text(&format!("[{room}] * {from} "), text, line);
        }
        ChatEvent::Message { room, from, text, .. } => format_text(&format!("[{room}] {from}: "), text, line),
        ChatEvent::Whisper { from, to, text, .. } => format_text(&format!("[{from} -> {to}] "), text, line),
        ChatEvent::Who { room, count, nicks, next } => {
            match (count, nicks.is_empty()) {
                (0, _) => line(&format!("* no members in {room}")),
                (_, true) => line(&format!("* {count} in {room}, and no further ones")),
                _ => line(&format!("* {count} in {room}: {}", list(nicks))),
            }
            if let Some(next) = next {
                line(&format!("* /who {room} {next} goes on"));
            }
        }
        ChatEvent::Rooms { rooms, next } => {
            let rooms: Vec<_> =
                rooms.iter().map(|RoomListing { room, members }| format!("{room} ({members})")).collect();
            line(&format!(
                "* {}",
                if rooms.is_empty() { "no rooms with members".to_owned() } else { rooms.join(", ") }
            ));
            if let Some(next) = next {
                line(&format!("* /rooms {next} goes on"));
            }
        }
        ChatEvent::Renamed { was, nick } => line(&format!("* {was} is now {nick}")),
        ChatEvent::Pong => line("* pong"),
        ChatEvent::Bye { reason } => format_text("* bye: ", reason, line),
        ChatEvent::Error { text, .. } => format_text("! ", text, line),
        ChatEvent::Ack { .. } => {}
    }
}

/// Formats a text after its sender's name. Further lines are indented, so that they cannot imitate
/// another member's line. They do not repeat the name: that could add 50 bytes per line and member.
fn format_text(prefix: &str, text: &str, mut line: impl FnMut(&str)) {
    let mut parts = text.split(LINE_BREAKS);
    line(&format!("{prefix}{}", parts.next().unwrap_or_default()));
    parts.for_each(|part| line(&format!("{CONTINUATION_INDENT}{part}")));
}

/// Formats a message as one datagram, `name : text`, with its further lines indented.
pub(super) fn format_datagram(from: &str, text: &str, is_action: bool) -> String {
    let mut datagram = String::new();
    let prefix = if is_action { format!("{from} : * {from} ") } else { format!("{from} : ") };
    format_text(&prefix, text, |line| {
        if !datagram.is_empty() {
            datagram.push('\n');
        }
        datagram.push_str(line);
    });
    datagram
}

fn list(names: &[Cow<'_, str>]) -> String {
    if names.is_empty() { "no room".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::chat::names::check_text;

    fn parse_utf8(line: &str) -> Result<Option<HubRequest<'_>>, ErrorReply> {
        parse(line.as_bytes(), UTF_8)
    }

    fn say(text: &str) -> HubRequest<'_> {
        HubRequest::Say { room: None, message: RoomText::message(text) }
    }

    #[test]
    fn lines_are_parsed_as_text_or_commands() {
        assert_eq!(parse_utf8("hello /there ").unwrap(), Some(say("hello /there ")));
        assert_eq!(parse_utf8("//etc").unwrap(), Some(say("/etc")));
        assert_eq!(parse_utf8("a\r\nb\r\n").unwrap(), Some(say("a\nb")));
        assert_eq!(parse_utf8("").unwrap(), None);
        assert_eq!(parse_utf8("\r\n").unwrap(), None);
        assert_eq!(parse_utf8("/nick eva\r").unwrap(), Some(HubRequest::Nick { nick: "eva".into() }));
        assert_eq!(
            parse_utf8("/msg bob  two words").unwrap(),
            Some(HubRequest::Whisper { to: "bob".into(), text: "two words".into() })
        );
        assert_eq!(
            parse_utf8("/who news 256").unwrap(),
            Some(HubRequest::Who { room: Some("news".into()), next: Some(256) })
        );
    }

    #[test]
    fn invalid_command_is_answered_with_its_usage() {
        for (line, code, text) in [
            ("/nick", "bad-command", "/nick NAME"),
            ("/nick two words", "bad-command", "/nick NAME"),
            ("/msg bob", "bad-command", "/msg NICK TEXT"),
            ("/dance", "unknown-command", "\"/dance\""),
            ("/kick eva", "unknown-command", "/help"),
        ] {
            let error = parse_utf8(line).unwrap_err();
            assert_eq!(error.code, code, "{line}");
            assert!(error.text.contains(text), "{line}: {error:?}");
        }
        assert_eq!(parse(b"ab\xff", UTF_8).unwrap_err().code, "bad-utf8");
        assert_eq!(parse(b"\xff\xff", encoding_rs::GBK).unwrap_err().code, "bad-text");
        assert_eq!(parse(b"\xc4\xe3", encoding_rs::GBK).unwrap(), Some(say("你")));
    }

    #[test]
    fn http_request_line_is_recognized() {
        assert!(is_http_request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(is_http_request(b"POST /x HTTP/1.0"));
        assert!(!is_http_request(b"GET lost"));
        assert!(!is_http_request(b"what is HTTP/2?"));
    }

    #[test]
    fn continued_lines_of_a_text_are_indented() {
        let mut lines = Vec::new();
        let (room, from, text, at) = ("lobby".into(), "eva".into(), "hi\n[lobby] bob: ha".into(), "".into());
        let event = ChatEvent::Message { room, id: 1, from, text, action: false, at };
        format_event(&event, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["[lobby] eva: hi", "    [lobby] bob: ha"]);
        assert_eq!(format_datagram("eva", "hi\nbob : ha", false), "eva : hi\n    bob : ha");
        assert_eq!(format_datagram("eva", "", false), "eva : ");
    }

    /// Every character at which some program or terminal begins a new line, such as those of
    /// Python's `splitlines`, is a line break here or is refused.
    #[test]
    fn every_line_break_is_indented_or_refused() {
        for c in "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}".chars() {
            let text = format!("hi{c}[lobby] bob: ha");
            if check_text(&text, 100).is_ok() {
                assert_eq!(format_datagram("eva", &text, false), "eva : hi\n    [lobby] bob: ha", "{c:?}");
            }
        }
    }
}
