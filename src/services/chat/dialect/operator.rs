//! Lines of the operator's console: text, a text for one member after `@`, or a command.

use std::net::IpAddr;

use encoding_rs::UTF_8;

use super::lines::{
    SlashCommand, decode, only_word, parse_number, say_request, split_command, split_first_word, to_cow,
    unknown_command, usage_error,
};
use crate::services::chat::request::{ErrorReply, HubRequest, OperatorCommand, RoomText};

/// The answer to `/help` on the operator's console.
pub(crate) const OPERATOR_HELP: &str = "\
* text is sent to your current room; @nick text to one member
* /join ROOM      make it your current room
* /me TEXT        send an action: /me waves is shown as * operator waves
* /kick NICK      disconnect a member
* /ban ADDR       disconnect an address and reject its connections
* /unban ADDR     accept its connections again
* /bans           list the banned addresses
* /who [ROOM]     list the members
* /rooms          list the rooms
* /stats          show counts
* /quit           stop the server gracefully";

/// Parses a line of the operator. Returns `None` for an empty line.
pub(super) fn parse(frame: &[u8]) -> Result<Option<HubRequest<'_>>, ErrorReply> {
    let text = decode(frame, UTF_8)?;
    if let Some(rest) = text.strip_prefix('@') {
        let (to, text) = split_first_word(rest, "@nick text")?;
        return Ok(Some(HubRequest::Whisper { to, text }));
    }
    let Some(SlashCommand { name, rest }) = split_command(&text) else { return Ok(say_request(text)) };
    let mut words = rest.split_whitespace();
    let request = match name {
        "join" => HubRequest::Join { room: only_word(words, "/join ROOM")?, since: None },
        "me" if rest.is_empty() => return Err(usage_error("/me TEXT")),
        "me" => HubRequest::Say { room: None, message: RoomText::action(rest.to_owned()) },
        "kick" => HubRequest::Operator(OperatorCommand::Kick { nick: only_word(words, "/kick NICK")? }),
        "ban" => HubRequest::Operator(OperatorCommand::Ban { address: parse_address(words.next(), "/ban ADDR")? }),
        "unban" => {
            HubRequest::Operator(OperatorCommand::Unban { address: parse_address(words.next(), "/unban ADDR")? })
        }
        "bans" => HubRequest::Operator(OperatorCommand::Bans),
        "who" => HubRequest::Who { room: words.next().map(to_cow), next: parse_number(words.next(), "/who ROOM N")? },
        "rooms" => HubRequest::Rooms { next: parse_number(words.next(), "/rooms N")? },
        "stats" => HubRequest::Operator(OperatorCommand::Stats),
        "help" => HubRequest::Help,
        "quit" => HubRequest::Operator(OperatorCommand::Shutdown),
        _ => return Err(unknown_command(name)),
    };
    Ok(Some(request))
}

fn parse_address(word: Option<&str>, usage: &str) -> Result<IpAddr, ErrorReply> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| usage_error(usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_commands_are_parsed() {
        let parsed = |line: &'static str| parse(line.as_bytes()).unwrap().unwrap();
        assert_eq!(parsed("@bob hi you"), HubRequest::Whisper { to: "bob".into(), text: "hi you".into() });
        assert_eq!(parsed("/ban ::1"), HubRequest::Operator(OperatorCommand::Ban { address: "::1".parse().unwrap() }));
        assert_eq!(parsed("/quit"), HubRequest::Operator(OperatorCommand::Shutdown));
        assert_eq!(parse(b"/ban eva").unwrap_err().code, "bad-command");
    }
}
