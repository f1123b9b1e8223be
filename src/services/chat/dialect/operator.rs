//! Lines of the operator's console: text, a text for one member after `@`, or a command.

use std::borrow::Cow;
use std::time::Duration;

use encoding_rs::UTF_8;
use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo};

use super::lines::{
    SlashCommand, decode, only_word, parse_number, say_request, split_command, split_first_word, to_cow,
    unknown_command, usage_error,
};
use crate::services::chat::network::{parse_network, resembles_network};
use crate::services::chat::request::{BanTarget, ErrorReply, HubRequest, OperatorCommand, RoomText};

/// The answer to `/help` on the operator's console.
pub(crate) const OPERATOR_HELP: &str = "\
* text is sent to your current room; @nick text to one member
* /join ROOM      make it your current room
* /me TEXT        send an action: /me waves is shown as * operator waves
* /kick NICK      disconnect a member; /kick NICK REASON tells it why
* /ban WHO        disconnect and reject an address or a network, for good;
*                 WHO is a nick, an address, or a network such as 10.0.0.0/8
* /ban WHO 10m REASON: for 10 minutes, with a reason; or 30s, 2h, 7d
* /unban ADDR     accept an address or a network again
* /bans [N]       list the bans; with N, without the first N
* /who [ROOM]     list the members with their addresses
* /rooms          list the rooms
* /stats          show counts and addresses
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
        "kick" => HubRequest::Operator(parse_kick(rest)?),
        "ban" => HubRequest::Operator(parse_ban(rest)?),
        "unban" => HubRequest::Operator(parse_unban(words)?),
        "bans" => HubRequest::Operator(OperatorCommand::Bans { next: parse_number(words.next(), "/bans N")? }),
        "who" => HubRequest::Who { room: words.next().map(to_cow), next: parse_number(words.next(), "/who ROOM N")? },
        "rooms" => HubRequest::Rooms { next: parse_number(words.next(), "/rooms N")? },
        "stats" => HubRequest::Operator(OperatorCommand::Stats),
        "help" => HubRequest::Help,
        "quit" => HubRequest::Operator(OperatorCommand::Shutdown),
        _ => return Err(unknown_command(name)),
    };
    Ok(Some(request))
}

/// Splits the first word from the rest of the line, which may be empty.
fn take_word(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

/// Returns the text unless it is empty.
fn reason<'a>(text: &str) -> Option<Cow<'a, str>> {
    (!text.is_empty()).then(|| to_cow(text))
}

fn parse_kick<'a>(rest: &str) -> Result<OperatorCommand<'a>, ErrorReply> {
    match take_word(rest) {
        ("", _) => Err(usage_error("/kick NICK [REASON]")),
        (nick, rest) => Ok(OperatorCommand::Kick { nick: to_cow(nick), reason: reason(rest) }),
    }
}

fn parse_ban<'a>(rest: &str) -> Result<OperatorCommand<'a>, ErrorReply> {
    let (target, rest) = take_word(rest);
    if target.is_empty() {
        return Err(usage_error("/ban NICK|ADDR|CIDR [TIME] [REASON]"));
    }
    let target = match parse_network(target) {
        Some(network) => BanTarget::Network(network),
        None if resembles_network(target) => return Err(bad_prefix(target)),
        None => BanTarget::Nick(to_cow(target)),
    };
    let (word, after) = take_word(rest);
    // With a sign or a point, too: a mistyped time must not become a reason, and the ban endless.
    let is_time = word.trim_start_matches(['-', '+', '.']).starts_with(|c: char| c.is_ascii_digit());
    let (time, rest) = if is_time { (Some(parse_time(word)?), after) } else { (None, rest) };
    Ok(OperatorCommand::Ban { target, time, reason: reason(rest) })
}

/// Parses a time such as `30s`, `10m`, `1h30m` or `7d`.
fn parse_time(word: &str) -> Result<Duration, ErrorReply> {
    let span = word.parse::<Span>().ok();
    let time = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let time = time.and_then(|time| Duration::try_from(time).ok()).filter(|time| !time.is_zero());
    time.ok_or_else(|| {
        let text = format!("{word:?} is not a time: write 30s, 10m, 2h or 7d, or begin the reason with another word");
        ErrorReply::new("bad-command", text)
    })
}

fn bad_prefix(network: &str) -> ErrorReply {
    let text = format!("{network} is not a network: its prefix is 0 to 32 bits for IPv4, 0 to 128 for IPv6");
    ErrorReply::new("bad-command", text)
}

fn parse_unban<'w, 'a>(mut words: impl Iterator<Item = &'w str>) -> Result<OperatorCommand<'a>, ErrorReply> {
    let target = words.next();
    if let Some(target) = target.filter(|target| parse_network(target).is_none() && resembles_network(target)) {
        return Err(bad_prefix(target));
    }
    let network: Option<IpNet> = target.and_then(parse_network).filter(|_| words.next().is_none());
    network.map(|network| OperatorCommand::Unban { network }).ok_or_else(|| usage_error("/unban ADDR|CIDR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_commands_are_parsed() {
        let parsed = |line: &'static str| parse(line.as_bytes()).unwrap().unwrap();
        assert_eq!(parsed("@bob hi you"), HubRequest::Whisper { to: "bob".into(), text: "hi you".into() });
        let kick = |nick: &'static str, reason: Option<&'static str>| {
            HubRequest::Operator(OperatorCommand::Kick { nick: nick.into(), reason: reason.map(Cow::from) })
        };
        assert_eq!(parsed("/kick eva"), kick("eva", None));
        assert_eq!(parsed("/kick  eva   too  loud "), kick("eva", Some("too  loud")));
        let ban = |target, seconds: Option<u64>, reason: Option<&'static str>| {
            let (time, reason) = (seconds.map(Duration::from_secs), reason.map(Cow::from));
            HubRequest::Operator(OperatorCommand::Ban { target, time, reason })
        };
        let network = |text: &str| BanTarget::Network(text.parse().unwrap());
        assert_eq!(parsed("/ban ::1"), ban(network("::1/128"), None, None));
        assert_eq!(parsed("/ban 10.1.2.3/8 spam"), ban(network("10.0.0.0/8"), None, Some("spam")));
        assert_eq!(parsed("/ban eva 10m"), ban(BanTarget::Nick("eva".into()), Some(600), None));
        assert_eq!(parsed("/ban eva 1h30m a b"), ban(BanTarget::Nick("eva".into()), Some(5400), Some("a b")));
        assert_eq!(parsed("/ban eva 7d"), ban(BanTarget::Nick("eva".into()), Some(604_800), None));
        assert_eq!(parsed("/quit"), HubRequest::Operator(OperatorCommand::Shutdown));
        for bad in [
            "/ban",
            "/kick",
            "/unban",
            "/unban eva",
            "/ban eva 10",
            "/ban eva 10mn",
            "/ban eva 0s",
            "/ban eva -1s",
            "/ban eva -10 spam",
            "/bans x",
            "/ban 10.0.0.0/33 spam",
            "/ban ::1/129",
            "/unban 10.0.0.0/33",
        ] {
            assert_eq!(parse(bad.as_bytes()).unwrap_err().code, "bad-command", "{bad}");
        }
    }
}
