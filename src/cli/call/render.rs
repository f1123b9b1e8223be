//! An event as a line for people.

use std::fmt;

use anstyle::AnsiColor::{self, BrightBlue, Cyan, Green, Magenta, Red, Yellow};
use anstyle::Reset;
use switchboard::client::chat::visible;
use switchboard::services::chat::wire::Event;

const COLOURS: [AnsiColor; 6] = [Red, Green, Yellow, Magenta, Cyan, BrightBlue];

/// Which colour each nick has, if any has one.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    enabled: bool,
}

impl Palette {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    fn paint(&self, nick: &str) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let hash = nick.bytes().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            let colour = COLOURS.get(hash % COLOURS.len()).copied().unwrap_or(Red);
            let shown = visible(nick);
            if self.enabled {
                write!(f, "{}{shown}{}", colour.render_fg(), Reset.render())
            } else {
                f.write_str(&shown)
            }
        })
    }
}

/// The event, without a line feed at its end. Nothing in it is obeyed by a terminal but the palette's own colours.
pub(super) fn render(event: &Event<'_>, palette: &Palette) -> String {
    match event {
        Event::Welcome { nick, rooms, .. } => {
            let rooms: Vec<_> = rooms.iter().map(|room| visible(room)).collect();
            let place = if rooms.is_empty() { String::new() } else { format!(", in {}", rooms.join(", ")) };
            format!("* you are {}{place}", palette.paint(nick))
        }
        Event::Joined { room, nick } => format!("* {} entered {}", palette.paint(nick), visible(room)),
        Event::Left { room, nick } => format!("* {} left {}", palette.paint(nick), visible(room)),
        Event::Renamed { was, nick } => format!("* {} is {} now", palette.paint(was), palette.paint(nick)),
        Event::Message { room, from, text, .. } => {
            format!("[{}] {}: {}", visible(room), palette.paint(from), lines(text))
        }
        Event::Whisper { from, to, text, .. } => {
            format!("[whisper] {} → {}: {}", palette.paint(from), palette.paint(to), lines(text))
        }
        Event::Who { room, count, nicks, .. } => {
            let nicks: Vec<_> = nicks.iter().map(|nick| palette.paint(nick).to_string()).collect();
            format!("* {count} in {}: {}", visible(room), nicks.join(", "))
        }
        Event::Rooms { rooms, .. } => {
            let rooms: Vec<_> =
                rooms.iter().map(|listed| format!("{} ({})", visible(&listed.room), listed.members)).collect();
            format!("* rooms: {}", rooms.join(", "))
        }
        Event::Ack { .. } => String::new(),
        Event::Pong => "* pong".to_owned(),
        Event::Bye { reason } => format!("* goodbye: {}", lines(reason)),
        Event::Error { text, .. } => format!("! {}", lines(text)),
    }
}

/// Further lines of a text are moved to the right, so that none looks like somebody else's message.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n    ")
}
