//! A colour for each nick, so that the eye finds who speaks.
//!
//! Somebody has the same colour in every run and in every program, because it comes from the nick alone; or the one that it was
//! pinned to. Where colours are off, nothing but the nick is written.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use anstyle::AnsiColor::{
    self, Black, Blue, BrightBlack, BrightBlue, BrightCyan, BrightGreen, BrightMagenta, BrightRed, BrightWhite,
    BrightYellow, Cyan, Green, Magenta, Red, White, Yellow,
};
use anstyle::Reset;

use super::names::fold;
use crate::frame::escape;

/// What a nick may be pinned to.
const COLOURS: [(&str, AnsiColor); 16] = [
    ("black", Black),
    ("red", Red),
    ("green", Green),
    ("yellow", Yellow),
    ("blue", Blue),
    ("magenta", Magenta),
    ("cyan", Cyan),
    ("white", White),
    ("bright-black", BrightBlack),
    ("bright-red", BrightRed),
    ("bright-green", BrightGreen),
    ("bright-yellow", BrightYellow),
    ("bright-blue", BrightBlue),
    ("bright-magenta", BrightMagenta),
    ("bright-cyan", BrightCyan),
    ("bright-white", BrightWhite),
];

/// What nicks get that are pinned to nothing: colours that can be read on a dark page and on a light one.
const READABLE: [AnsiColor; 6] = [Red, Green, Yellow, Magenta, Cyan, BrightBlue];

/// Which colour each nick has, if any has one.
///
/// ```
/// use switchboard::services::chat::colour::Palette;
/// let palette = Palette::new(true, ["eva=red".parse()?]);
/// assert_eq!(palette.paint("Eva").to_string(), "\u{1b}[31mEva\u{1b}[0m");
/// assert_eq!(Palette::default().paint("Eva").to_string(), "Eva");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Palette {
    enabled: bool,
    pinned: HashMap<Box<str>, AnsiColor>,
}

impl Palette {
    /// A palette with these nicks pinned; of several pins of one nick the last counts. Not `enabled`, it has no colours.
    pub fn new(enabled: bool, pins: impl IntoIterator<Item = Pin>) -> Self {
        Self { enabled, pinned: pins.into_iter().map(|Pin { nick, colour }| (fold(&nick), colour)).collect() }
    }

    /// The nick in its colour, and with whatever a terminal would obey [shown](crate::frame::escape::text) instead.
    pub fn paint(&self, nick: &str) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let shown = escape::line(nick);
            if self.enabled {
                write!(f, "{}{shown}{}", self.colour_of(nick).render_fg(), Reset.render())
            } else {
                f.write_str(&shown)
            }
        })
    }

    fn colour_of(&self, nick: &str) -> AnsiColor {
        let folded = fold(nick);
        let picked = || READABLE.get(hash(&folded) % READABLE.len()).copied().unwrap_or(Red);
        self.pinned.get(&folded).copied().unwrap_or_else(picked)
    }
}

/// A nick and the colour that it is to have, read from `NAME=COLOUR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    nick: String,
    colour: AnsiColor,
}

impl FromStr for Pin {
    type Err = ParsePinError;

    fn from_str(text: &str) -> Result<Self, ParsePinError> {
        // A nick may hold the sign, a colour never does.
        let (nick, name) = text.rsplit_once('=').filter(|(nick, _)| !nick.is_empty()).ok_or(ParsePinError::NotAPair)?;
        let known = COLOURS.iter().find(|(known, _)| *known == name);
        let (_, colour) = known.ok_or_else(|| ParsePinError::UnknownColour(name.to_owned()))?;
        Ok(Self { nick: nick.to_owned(), colour: *colour })
    }
}

/// Why a text pins nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParsePinError {
    /// It is not of the form `NAME=COLOUR`.
    NotAPair,
    /// There is no colour of this name.
    UnknownColour(String),
}

impl fmt::Display for ParsePinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPair => f.write_str("write NAME=COLOUR, for example eva=red"),
            Self::UnknownColour(name) => {
                let names: Vec<&str> = COLOURS.iter().map(|(name, _)| *name).collect();
                write!(f, "there is no colour {name:?}: write one of {}", names.join(", "))
            }
        }
    }
}

impl std::error::Error for ParsePinError {}

/// FNV-1a. The standard library's own hash may differ from one release to the next.
fn hash(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Its low bits differ least between nicks that differ in their last letter.
    (hash >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(texts: &[&str]) -> Vec<Pin> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_nick_has_the_colour_that_it_is_pinned_to_in_whatever_case() {
        for (pinned, nick, painted) in [
            (&["eva=red"][..], "eva", "\u{1b}[31meva\u{1b}[0m"),
            (&["EVA=red"], "Eva", "\u{1b}[31mEva\u{1b}[0m"),
            (&["Ärger=bright-black"], "ärger", "\u{1b}[90märger\u{1b}[0m"),
            (&["a=b=white"], "a=b", "\u{1b}[37ma=b\u{1b}[0m"),
            (&["eva=red", "Eva=bright-white"], "eva", "\u{1b}[97meva\u{1b}[0m"),
        ] {
            assert_eq!(Palette::new(true, pins(pinned)).paint(nick).to_string(), painted);
            assert_eq!(Palette::new(false, pins(pinned)).paint(nick).to_string(), nick, "colours are off");
        }
    }

    #[test]
    fn every_colour_is_known_by_its_name() {
        for (number, (name, _)) in COLOURS.iter().enumerate() {
            let palette = Palette::new(true, pins(&[&format!("eva={name}")]));
            let code = if number < 8 { 30 + number } else { 82 + number };
            assert_eq!(palette.paint("eva").to_string(), format!("\u{1b}[{code}meva\u{1b}[0m"), "{name}");
        }
    }

    #[test]
    fn others_get_a_readable_colour_that_never_changes() {
        let palette = Palette::new(true, []);
        // Written down, because it is to be the same tomorrow and elsewhere.
        for (nick, colour) in [("eva", BrightBlue), ("EVA", BrightBlue), ("bob", Yellow), ("operator", Cyan)] {
            assert_eq!(palette.colour_of(nick), colour, "{nick}");
        }
        let guests: Vec<_> = (0..600).map(|number| palette.colour_of(&format!("guest-{number}"))).collect();
        for colour in READABLE {
            let count = guests.iter().filter(|given| **given == colour).count();
            assert!((60..140).contains(&count), "{count} of 600 guests are {colour:?}");
        }
    }

    #[test]
    fn a_nick_that_is_a_command_to_the_terminal_is_shown_instead() {
        let nick = "\u{1b}[2J\n";
        assert_eq!(Palette::default().paint(nick).to_string(), "\\u{1b}[2J\\n");
        let pinned = Palette::new(true, [Pin { nick: nick.to_owned(), colour: Red }]);
        assert_eq!(pinned.paint(nick).to_string(), "\u{1b}[31m\\u{1b}[2J\\n\u{1b}[0m");
    }

    #[test]
    fn what_pins_nothing_is_refused_with_what_would() {
        for text in ["", "eva", "=red", "red="] {
            assert!(text.parse::<Pin>().is_err(), "{text:?}");
        }
        for text in ["eva=pink", "eva=Red", "eva=", "eva= red"] {
            let words = text.parse::<Pin>().unwrap_err().to_string();
            let names = COLOURS.iter().all(|(name, _)| words.contains(name));
            assert!(names && words.starts_with("there is no colour"), "{text:?}: {words}");
        }
    }
}
