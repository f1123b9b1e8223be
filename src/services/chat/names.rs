//! Validation of nicks, room names and texts.

use std::borrow::Cow;

use unicase::UniCase;
use unicode_width::UnicodeWidthChar;

use super::network::{parse_network, resembles_network};
use super::request::ErrorReply;

/// The operator's nick.
pub(super) const OPERATOR: &str = "operator";

/// The server's own nick, in the UDP dialect, where each message has a sender.
pub(super) const SERVER: &str = "switchboard";

/// The sender of a refusal in the UDP dialect.
pub(super) const ERROR: &str = "error";

const MAX_NICK_CHARS: usize = 32;
const MAX_ROOM_CHARS: usize = 64;

/// Folds the case of a nick or a room name, by Unicode's full case folding. Two names with the same
/// result are one name.
///
/// ```
/// use switchboard::services::chat::fold_name;
/// assert_eq!(fold_name("GROẞ"), fold_name("groß"));
/// assert_eq!(fold_name("GROSS"), "gross");
/// ```
pub fn fold_name(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return name.into();
    }
    UniCase::unicode(name).to_folded_case().into()
}

/// Returns the nick of a member that has not chosen one.
pub(super) fn guest_nick(number: u64) -> String {
    format!("guest-{number}")
}

/// Returns true if a [`Chat`](super::Chat) server accepts a nick that no other member has.
///
/// ```
/// use switchboard::services::chat::is_valid_nick;
/// assert!(is_valid_nick("eva") && !is_valid_nick("e va") && !is_valid_nick("operator"));
/// ```
pub fn is_valid_nick(nick: &str) -> bool {
    check_nick(nick).is_ok()
}

/// Checks a requested nick.
pub(super) fn check_nick(nick: &str) -> Result<(), ErrorReply> {
    let bad = |why: &str| Err(ErrorReply::new("bad-nick", format!("a nick {why}")));
    if nick.is_empty() || nick.chars().count() > MAX_NICK_CHARS {
        return bad(&format!("has 1 to {MAX_NICK_CHARS} characters"));
    }
    if let Some(other) = nick.chars().find(|c| !is_visible(*c)) {
        return bad(&format!("has visible characters only, and {other:?} is not visible"));
    }
    // In the UDP dialect, `name : text`, the first colon ends the name.
    if nick.contains(':') {
        return bad("has no colon");
    }
    // The operator bans a nick or an address by the same command.
    if parse_network(nick).is_some() || resembles_network(nick) {
        return bad("is not an address");
    }
    let folded = fold_name(nick);
    if let Some(number) = folded.strip_prefix("guest-")
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        return bad("like guest-1 is reserved for guests");
    }
    if [OPERATOR, SERVER, ERROR].contains(&&*folded) {
        return bad(&format!("like {nick} is reserved"));
    }
    Ok(())
}

/// Checks a room name.
pub(super) fn check_room(name: &str) -> Result<(), ErrorReply> {
    if name.is_empty() || name.chars().count() > MAX_ROOM_CHARS || !name.chars().all(is_visible) {
        let rule = format!("a room name has 1 to {MAX_ROOM_CHARS} visible characters");
        return Err(ErrorReply::new("bad-room", rule));
    }
    Ok(())
}

/// Checks the text of a message.
pub(super) fn check_text(text: &str, max_bytes: usize) -> Result<(), ErrorReply> {
    if text.is_empty() {
        return Err(ErrorReply::new("empty-text", "the text is empty"));
    }
    if text.len() > max_bytes {
        let rule = format!("a text has at most {max_bytes} bytes, and this one has {}", text.len());
        return Err(ErrorReply::new("text-too-long", rule));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
        let rule = format!("a text has no control characters but tab and line feed, and this one has {bad:?}");
        return Err(ErrorReply::new("bad-text", rule));
    }
    Ok(())
}

/// Returns a nick that resembles `nick` and that `is_free` accepts.
pub(super) fn similar_free_nick(nick: &str, is_free: impl Fn(&str) -> bool) -> Option<String> {
    let stem: String = nick.chars().take(MAX_NICK_CHARS - 3).collect();
    (2..1000).map(|number| format!("{stem}{number}")).find(|nick| check_nick(nick).is_ok() && is_free(nick))
}

/// Returns true if `c` has a width and a glyph of its own. Combining marks, joiners and direction
/// marks have none: two nicks that differ in these only would look the same.
fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !BLANK.contains(&c) && c.width().is_some_and(|columns| columns > 0)
}

/// Blank characters with a width: soft hyphen, Hangul fillers, the Braille pattern without a dot.
const BLANK: [char; 5] = ['\u{ad}', '\u{115f}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_nick_rejects_invisible_or_long_nicks() {
        for good in ["e", "Eva", "名字", "a.b-c_d", "🦊", "O'Brien", &"x".repeat(32)] {
            assert!(check_nick(good).is_ok(), "{good}");
        }
        let long = "x".repeat(33);
        for bad in [
            "",
            " ",
            "a b",
            "a\tb",
            "a\u{1b}[2J",
            "e\u{301}",
            "a\u{200b}",
            "\u{202e}a",
            "a\u{ad}",
            "a\u{115f}",
            "a\u{2800}",
            "a\u{3164}",
            "a\u{ffa0}",
            "a:b",
            "127.0.0.1",
            "10.0.0.0/8",
            "Operator",
            "ERROR",
            "guest-7",
            &long,
        ] {
            assert_eq!(check_nick(bad).unwrap_err().code, "bad-nick", "{bad:?}");
        }
        assert!(check_nick("guest-list").is_ok());
    }

    #[test]
    fn names_are_compared_by_full_case_folding() {
        for same in [
            &["eva", "Eva", "EVA"][..],
            &["groß", "GROẞ", "GROSS", "Gross", "groſs"],
            &["σοφός", "ΣΟΦΌΣ", "σοφόσ"],
            &["ﬁsh", "FISH"],
            &["Ǆ", "ǅ", "ǆ"],
            &["ꭰ", "Ꭰ"],
            &["名字"],
        ] {
            assert!(same.iter().all(|name| fold_name(name) == fold_name(same[0])), "{same:?}");
        }
        for (one, other) in [("eva", "ewa"), ("i", "ı"), ("о", "o"), ("é", "e")] {
            assert_ne!(fold_name(one), fold_name(other));
        }
        for reserved in ["ſwitchboard", "GUEſT-7"] {
            assert_eq!(check_nick(reserved).unwrap_err().code, "bad-nick", "{reserved}");
        }
    }

    #[test]
    fn check_text_rejects_long_texts_and_control_characters() {
        assert!(check_text("a\tb\nc é", 8).is_ok());
        let code = |text| check_text(text, 8).unwrap_err().code;
        assert_eq!(code(""), "empty-text");
        assert_eq!(code("123456789"), "text-too-long");
        for bad in ["a\rb", "\u{1b}[2J", "\u{9b}2J", "\0", "\u{7f}"] {
            assert_eq!(code(bad), "bad-text", "{bad:?}");
        }
    }

    #[test]
    fn similar_free_nick_is_free_and_valid() {
        let taken = ["eva2", "eva3"];
        assert_eq!(similar_free_nick("eva", |nick| !taken.contains(&nick)).unwrap(), "eva4");
        let long = similar_free_nick(&"名".repeat(32), |_| true).unwrap();
        assert!(check_nick(&long).is_ok(), "{long}");
    }
}
