//! An event as a line for people.

use anstyle::{AnsiColor, Style};
use switchboard::client::chat::visible;
use switchboard::services::chat::wire::Event;

/// Which names have which colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    coloured: bool,
}

impl Palette {
    pub(super) fn plain() -> Self {
        Self { coloured: false }
    }

    pub(super) fn coloured() -> Self {
        Self { coloured: true }
    }

    fn name(self, name: &str) -> String {
        let shown = visible(name);
        if !self.coloured {
            return shown.into_owned();
        }
        let colors =
            [AnsiColor::Red, AnsiColor::Green, AnsiColor::Yellow, AnsiColor::Blue, AnsiColor::Magenta, AnsiColor::Cyan];
        let hash = name.bytes().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let style = Style::new().fg_color(colors.get(hash % colors.len()).copied().map(Into::into));
        format!("{style}{shown}{style:#}")
    }
}

/// The event, without a line feed at its end. Nothing in it is obeyed by a terminal but the palette's own colours.
pub(super) fn render(event: &Event<'_>, palette: &Palette) -> String {
    let name = |name: &str| palette.name(name);
    match event {
        Event::Welcome { nick, .. } => format!("* welcome, {}", name(nick)),
        Event::Joined { room, nick } => format!("* {} joined {}", name(nick), visible(room)),
        Event::Left { room, nick } => format!("* {} left {}", name(nick), visible(room)),
        Event::Message { room, from, text, .. } => format!("[{}] {}: {}", visible(room), name(from), lines(text)),
        Event::Ack { .. } => String::new(),
        Event::Whisper { from, to, text, .. } => format!("{} -> {}: {}", name(from), name(to), lines(text)),
        Event::Who { room, count, nicks, .. } => {
            let nicks: Vec<_> = nicks.iter().map(|nick| name(nick)).collect();
            format!("* {count} in {}: {}", visible(room), nicks.join(", "))
        }
        Event::Rooms { rooms, .. } => {
            let rooms: Vec<_> =
                rooms.iter().map(|listed| format!("{} ({})", visible(&listed.room), listed.members)).collect();
            format!("* rooms: {}", rooms.join(", "))
        }
        Event::Renamed { was, nick } => format!("* {} is now {}", name(was), name(nick)),
        Event::Pong => "* pong".to_owned(),
        Event::Bye { reason } => format!("* the server says goodbye: {}", visible(reason)),
        Event::Error { code, text, .. } => format!("* error: {} ({})", visible(text), visible(code)),
    }
}

/// Further lines of a text are moved to the right, so that none looks like somebody else's message.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n    ")
}
