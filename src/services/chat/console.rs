//! Chat events as lines of a terminal, the same for the operator's console and for a client.
//! Control characters of peers are [escaped](crate::frame::escape).

use super::colour::Palette;
use super::wire::ChatEvent;
use crate::frame::escape;

/// Returns the lines that show an event, without a line feed at the end. Empty for events that are
/// not shown, such as `ack`.
///
/// ```
/// use switchboard::services::chat::{colour::Palette, console::render, wire::ChatEvent};
/// let event = ChatEvent::Joined { room: "lobby".into(), nick: "eva".into() };
/// assert_eq!(render(&event, &Palette::default()), "* eva entered lobby");
/// ```
pub fn render(event: &ChatEvent<'_>, palette: &Palette) -> String {
    match event {
        ChatEvent::Welcome { nick, rooms, .. } if rooms.is_empty() => format!("* you are {}", palette.paint(nick)),
        ChatEvent::Welcome { nick, rooms, .. } => {
            let rooms = rooms.iter().map(|room| escape::line(room));
            format!("* you are {}, in {}", palette.paint(nick), list(rooms, false))
        }
        ChatEvent::Joined { room, nick } => format!("* {} entered {}", palette.paint(nick), escape::line(room)),
        ChatEvent::Left { room, nick } => format!("* {} left {}", palette.paint(nick), escape::line(room)),
        ChatEvent::Renamed { was, nick } => format!("* {} is {} now", palette.paint(was), palette.paint(nick)),
        ChatEvent::Message { room, from, text, action: true, .. } => {
            format!("[{}] * {} {}", escape::line(room), palette.paint(from), escape::text(text))
        }
        ChatEvent::Message { room, from, text, .. } => {
            format!("[{}] {}: {}", escape::line(room), palette.paint(from), escape::text(text))
        }
        ChatEvent::Whisper { from, to, text, .. } => {
            format!("[whisper] {} → {}: {}", palette.paint(from), palette.paint(to), escape::text(text))
        }
        ChatEvent::Who { room, count: 0, .. } => format!("* no members in {}", escape::line(room)),
        ChatEvent::Who { room, count, nicks, next } => {
            let nicks = nicks.iter().map(|nick| palette.paint(nick).to_string());
            format!("* {count} in {}: {}", escape::line(room), list(nicks, next.is_some()))
        }
        ChatEvent::Rooms { rooms, .. } if rooms.is_empty() => "* no rooms with members".to_owned(),
        ChatEvent::Rooms { rooms, next } => {
            let rooms = rooms.iter().map(|listed| format!("{} ({})", escape::line(&listed.room), listed.members));
            format!("* rooms: {}", list(rooms, next.is_some()))
        }
        ChatEvent::Ack { .. } => String::new(),
        ChatEvent::Pong => "* pong".to_owned(),
        ChatEvent::Bye { reason } => format!("* goodbye: {}", escape::text(reason)),
        ChatEvent::Error { text, .. } => format!("! {}", escape::text(text)),
    }
}

/// Joins `items` with commas. If `is_partial`, an ellipsis follows.
fn list(items: impl Iterator<Item = impl Into<String>>, is_partial: bool) -> String {
    let mut items: Vec<String> = items.map(Into::into).collect();
    if is_partial {
        items.push("…".to_owned());
    }
    items.join(", ")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::services::chat::wire::RoomListing;

    fn listed(room: &str, members: u64) -> RoomListing<'_> {
        RoomListing { room: room.into(), members }
    }

    fn message<'a>(from: &'a str, text: &'a str) -> ChatEvent<'a> {
        let (room, from, text, at) = ("lobby".into(), from.into(), text.into(), "2026".into());
        ChatEvent::Message { room, id: 7, from, text, action: false, at }
    }

    fn action<'a>(from: &'a str, text: &'a str) -> ChatEvent<'a> {
        let (room, from, text, at) = ("lobby".into(), from.into(), text.into(), "2026".into());
        ChatEvent::Message { room, id: 7, from, text, action: true, at }
    }

    fn error(text: &str) -> ChatEvent<'_> {
        let (code, text) = ("no-such-room".into(), text.into());
        ChatEvent::Error { code, text, room: None, first: None, count: None, last: None, offer: None, label: None }
    }

    fn welcome<'a>(rooms: &[&'a str]) -> ChatEvent<'a> {
        let rooms = rooms.iter().map(|room| (*room).into()).collect();
        ChatEvent::Welcome { nick: "eva".into(), rooms, messages_per_second: None, burst: None, server: None }
    }

    /// Events and their lines. With colours on, `<` and `>` stand for eva's colour, red, and `{`
    /// and `}` for bob's, green.
    fn rendered_events() -> Vec<(ChatEvent<'static>, &'static str)> {
        let (eva, bob, lobby) = (|| "eva".into(), || "bob".into(), || "lobby".into());
        let who = |nicks: &[&'static str], next| {
            let nicks: Vec<Cow<'static, str>> = nicks.iter().map(|nick| (*nick).into()).collect();
            ChatEvent::Who { room: "lobby".into(), count: 2, nicks, next }
        };
        vec![
            (welcome(&[]), "* you are <eva>"),
            (welcome(&["lobby", "rust"]), "* you are <eva>, in lobby, rust"),
            (ChatEvent::Joined { room: lobby(), nick: eva() }, "* <eva> entered lobby"),
            (ChatEvent::Left { room: lobby(), nick: bob() }, "* {bob} left lobby"),
            (ChatEvent::Renamed { was: eva(), nick: bob() }, "* <eva> is {bob} now"),
            (message("eva", "hello"), "[lobby] <eva>: hello"),
            (message("bob", "one\n[lobby] eva: two"), "[lobby] {bob}: one\n    [lobby] eva: two"),
            (message("bob", "\u{1b}[31m"), r"[lobby] {bob}: \u[1b][31m"),
            (action("eva", "waves\n[lobby] bob: x"), "[lobby] * <eva> waves\n    [lobby] bob: x"),
            (
                ChatEvent::Whisper { from: eva(), to: bob(), text: "a\nb".into(), at: "2026".into() },
                "[whisper] <eva> → {bob}: a\n    b",
            ),
            (who(&["eva", "bob"], None), "* 2 in lobby: <eva>, {bob}"),
            (who(&["eva"], Some(1)), "* 2 in lobby: <eva>, …"),
            (
                ChatEvent::Rooms { rooms: vec![listed("lobby", 2), listed("a\nb", 1)], next: None },
                r"* rooms: lobby (2), a\nb (1)",
            ),
            (ChatEvent::Rooms { rooms: vec![listed("lobby", 2)], next: Some(1) }, "* rooms: lobby (2), …"),
            (ChatEvent::Rooms { rooms: Vec::new(), next: None }, "* no rooms with members"),
            (ChatEvent::Who { room: lobby(), count: 0, nicks: Vec::new(), next: None }, "* no members in lobby"),
            (ChatEvent::Ack { label: 1_u64.into(), id: 7 }, ""),
            (ChatEvent::Pong, "* pong"),
            (ChatEvent::Bye { reason: "shutting down".into() }, "* goodbye: shutting down"),
            (error("there is no room rust"), "! there is no room rust"),
            (error("\u{202e}"), r"! \u[202e]"),
        ]
    }

    #[test]
    fn render_shows_every_event_with_and_without_colours() {
        let coloured = Palette::new(true, ["eva=red", "bob=green"].map(|pin| pin.parse().unwrap()));
        let escapes = |shown: &str| shown.replace(r"\u[1b]", r"\u{1b}").replace(r"\u[202e]", r"\u{202e}");
        for (event, shown) in rendered_events() {
            let plain: String = shown.chars().filter(|c| !"<>{}".contains(*c)).collect();
            assert_eq!(render(&event, &Palette::default()), escapes(&plain));
            let mut painted = shown.replace('<', "\u{1b}[31m").replace('{', "\u{1b}[32m");
            painted = painted.replace(['>', '}'], "\u{1b}[0m");
            assert_eq!(render(&event, &coloured), escapes(&painted));
        }
    }
}
