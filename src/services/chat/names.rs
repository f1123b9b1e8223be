//! What people and rooms may be called, and what may be said.

use unicode_width::UnicodeWidthChar;

use super::request::Refusal;

/// What the operator is called.
pub(super) const OPERATOR: &str = "operator";

/// As whom the server itself speaks where everybody has a name.
pub(super) const SERVER: &str = "switchboard";

const MAX_NICK_CHARS: usize = 32;
const MAX_ROOM_CHARS: usize = 64;

/// What two nicks have in common that are taken for one.
pub(super) fn fold(nick: &str) -> Box<str> {
    // By way of capitals, which are fewer: `ß` and `ss`, the two small sigmas, and ligatures are one each.
    nick.to_uppercase().to_lowercase().into()
}

/// What a peer is called that has not said.
pub(super) fn guest(number: u64) -> String {
    format!("guest-{number}")
}

/// Checks a nick that somebody asks for.
pub(super) fn check_nick(nick: &str) -> Result<(), Refusal> {
    let bad = |why: &str| Err(Refusal::new("bad-nick", format!("a nick {why}")));
    if nick.is_empty() || nick.chars().count() > MAX_NICK_CHARS {
        return bad(&format!("has 1 to {MAX_NICK_CHARS} characters"));
    }
    if let Some(other) = nick.chars().find(|c| !is_visible(*c)) {
        return bad(&format!("is made of characters that are visible by themselves, and {other:?} is not one"));
    }
    // Whoever reads `name : text` takes the first colon for the end of the name.
    if nick.contains(':') {
        return bad("has no colon in it");
    }
    let folded = fold(nick);
    if let Some(number) = folded.strip_prefix("guest-")
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        return bad("like guest-1 is for those who have not chosen one");
    }
    if [OPERATOR, SERVER].contains(&&*folded) {
        return bad(&format!("like {nick} is reserved"));
    }
    Ok(())
}

/// Checks the name of a room.
pub(super) fn check_room(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.chars().count() > MAX_ROOM_CHARS || !name.chars().all(is_visible) {
        let rule = format!("a room's name has 1 to {MAX_ROOM_CHARS} characters that are visible by themselves");
        return Err(Refusal::new("bad-room", rule));
    }
    Ok(())
}

/// Checks what somebody wants to say.
pub(super) fn check_text(text: &str, max_bytes: usize) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("empty-text", "there is no text".to_owned()));
    }
    if text.len() > max_bytes {
        let rule = format!("a text has at most {max_bytes} bytes, and this one has {}", text.len());
        return Err(Refusal::new("text-too-long", rule));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
        let rule = format!("a text has no control characters but tab and line feed, and this one has {bad:?}");
        return Err(Refusal::new("bad-text", rule));
    }
    Ok(())
}

/// A nick like `nick` that `is_free`.
pub(super) fn variant(nick: &str, is_free: impl Fn(&str) -> bool) -> Option<String> {
    let stem: String = nick.chars().take(MAX_NICK_CHARS - 3).collect();
    (2..1000).map(|number| format!("{stem}{number}")).find(|nick| check_nick(nick).is_ok() && is_free(nick))
}

/// Without what only moves, turns or joins its neighbours: an invisible difference between two nicks is a forgery.
fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !BLANK.contains(&c) && c.width().is_some_and(|columns| columns > 0)
}

/// What takes a column or more and shows nothing in it: soft hyphen, Hangul fillers, the Braille pattern without a dot.
const BLANK: [char; 5] = ['\u{ad}', '\u{115f}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_are_visible_and_short() {
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
            "Operator",
            "guest-7",
            &long,
        ] {
            assert_eq!(check_nick(bad).unwrap_err().code, "bad-nick", "{bad:?}");
        }
        assert!(check_nick("guest-list").is_ok());
    }

    #[test]
    fn texts_are_bounded_and_tame() {
        assert!(check_text("a\tb\nc é", 8).is_ok());
        let code = |text| check_text(text, 8).unwrap_err().code;
        assert_eq!(code(""), "empty-text");
        assert_eq!(code("123456789"), "text-too-long");
        for bad in ["a\rb", "\u{1b}[2J", "\u{9b}2J", "\0", "\u{7f}"] {
            assert_eq!(code(bad), "bad-text", "{bad:?}");
        }
    }

    #[test]
    fn a_variant_is_free_and_still_a_nick() {
        let taken = ["eva2", "eva3"];
        assert_eq!(variant("eva", |nick| !taken.contains(&nick)).unwrap(), "eva4");
        let long = variant(&"名".repeat(32), |_| true).unwrap();
        assert!(check_nick(&long).is_ok(), "{long}");
    }
}
