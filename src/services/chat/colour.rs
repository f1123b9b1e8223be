//! A colour for each nick, so that a reader finds the messages of one member at a glance.
//!
//! The colour depends on the nick alone, so it is the same in every run and every program. A user
//! may choose another colour for a nick. With colours off, the nick is written without escapes.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use anstyle::AnsiColor::{
    self, Black, Blue, BrightBlack, BrightBlue, BrightCyan, BrightGreen, BrightMagenta, BrightRed, BrightWhite,
    BrightYellow, Cyan, Green, Magenta, Red, White, Yellow,
};
use anstyle::Reset;

use super::names::fold_name;
use crate::frame::escape;

/// The colours that a user may choose for a nick.
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

/// The colours of all other nicks. They are readable on a dark and on a light background.
const DEFAULT_COLOURS: [AnsiColor; 6] = [Red, Green, Yellow, Magenta, Cyan, BrightBlue];

/// The colours of nicks, or none if colours are off.
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
    is_enabled: bool,
    chosen: HashMap<Box<str>, AnsiColor>,
}

impl Palette {
    /// Returns a palette with the `chosen` colours. For a nick with several colours, the last one
    /// counts. If `is_enabled` is false, the palette has no colours.
    pub fn new(is_enabled: bool, chosen: impl IntoIterator<Item = NickColour>) -> Self {
        let chosen = chosen.into_iter().map(|NickColour { nick, colour }| (fold_name(&nick).into(), colour)).collect();
        Self { is_enabled, chosen }
    }

    /// Returns the nick in its colour, with control characters
    /// [escaped](crate::frame::escape::line).
    pub fn paint(&self, nick: &str) -> impl fmt::Display {
        PaintedNick { nick, colour: self.is_enabled.then(|| self.colour_of(nick)) }
    }

    fn colour_of(&self, nick: &str) -> AnsiColor {
        let folded = fold_name(nick);
        let default = || DEFAULT_COLOURS.get(hash(&folded) % DEFAULT_COLOURS.len()).copied().unwrap_or(Red);
        self.chosen.get(&*folded).copied().unwrap_or_else(default)
    }
}

/// A nick to be written escaped, and in its colour if it has one.
struct PaintedNick<'a> {
    nick: &'a str,
    colour: Option<AnsiColor>,
}

impl fmt::Display for PaintedNick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = escape::line(self.nick);
        match self.colour {
            Some(colour) => write!(f, "{}{escaped}{}", colour.render_fg(), Reset.render()),
            None => f.write_str(&escaped),
        }
    }
}

/// A nick and the colour that a user chose for it, parsed from `NAME=COLOUR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NickColour {
    nick: String,
    colour: AnsiColor,
}

impl FromStr for NickColour {
    type Err = ParseNickColourError;

    fn from_str(text: &str) -> Result<Self, ParseNickColourError> {
        // A nick may contain `=`, a colour never does: split at the last one.
        let (nick, name) =
            text.rsplit_once('=').filter(|(nick, _)| !nick.is_empty()).ok_or(ParseNickColourError::MissingSeparator)?;
        let known = COLOURS.iter().find(|(known, _)| *known == name);
        let (_, colour) = known.ok_or_else(|| ParseNickColourError::UnknownColour(name.to_owned()))?;
        Ok(Self { nick: nick.to_owned(), colour: *colour })
    }
}

/// The error of a text that is not a [`NickColour`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseNickColourError {
    /// The text is not of the form `NAME=COLOUR`.
    MissingSeparator,
    /// The colour has an unknown name.
    UnknownColour(String),
}

impl fmt::Display for ParseNickColourError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingSeparator => f.write_str("write NAME=COLOUR, for example eva=red"),
            Self::UnknownColour(name) => {
                let names: Vec<&str> = COLOURS.iter().map(|(name, _)| *name).collect();
                write!(f, "unknown colour {name:?}: write one of {}", names.join(", "))
            }
        }
    }
}

impl std::error::Error for ParseNickColourError {}

/// Returns the FNV-1a hash of `text`. The standard library's hash may change between releases.
fn hash(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Nicks that differ in their last letter only differ least in the low bits.
    (hash >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nick_colours(texts: &[&str]) -> Vec<NickColour> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn paint_uses_the_chosen_colour_in_any_case() {
        for (chosen, nick, painted) in [
            (&["eva=red"][..], "eva", "\u{1b}[31meva\u{1b}[0m"),
            (&["EVA=red"], "Eva", "\u{1b}[31mEva\u{1b}[0m"),
            (&["Ärger=bright-black"], "ärger", "\u{1b}[90märger\u{1b}[0m"),
            (&["groß=red"], "GROẞ", "\u{1b}[31mGROẞ\u{1b}[0m"),
            (&["a=b=white"], "a=b", "\u{1b}[37ma=b\u{1b}[0m"),
            (&["eva=red", "Eva=bright-white"], "eva", "\u{1b}[97meva\u{1b}[0m"),
        ] {
            assert_eq!(Palette::new(true, nick_colours(chosen)).paint(nick).to_string(), painted);
            assert_eq!(Palette::new(false, nick_colours(chosen)).paint(nick).to_string(), nick, "colours are off");
        }
    }

    #[test]
    fn palette_knows_every_colour_by_name() {
        for (number, (name, _)) in COLOURS.iter().enumerate() {
            let palette = Palette::new(true, nick_colours(&[&format!("eva={name}")]));
            let code = if number < 8 { 30 + number } else { 82 + number };
            assert_eq!(palette.paint("eva").to_string(), format!("\u{1b}[{code}meva\u{1b}[0m"), "{name}");
        }
    }

    #[test]
    fn default_colours_are_stable() {
        let palette = Palette::new(true, []);
        // Literal values: the colours must be the same in every release and on every machine.
        for (nick, colour) in [("eva", BrightBlue), ("EVA", BrightBlue), ("bob", Yellow), ("operator", Cyan)] {
            assert_eq!(palette.colour_of(nick), colour, "{nick}");
        }
        let guests: Vec<_> = (0..600).map(|number| palette.colour_of(&format!("guest-{number}"))).collect();
        for colour in DEFAULT_COLOURS {
            let count = guests.iter().filter(|given| **given == colour).count();
            assert!((60..140).contains(&count), "{count} of 600 guests are {colour:?}");
        }
    }

    #[test]
    fn paint_escapes_control_characters() {
        let nick = "\u{1b}[2J\n";
        assert_eq!(Palette::default().paint(nick).to_string(), "\\u{1b}[2J\\n");
        let chosen = Palette::new(true, [NickColour { nick: nick.to_owned(), colour: Red }]);
        assert_eq!(chosen.paint(nick).to_string(), "\u{1b}[31m\\u{1b}[2J\\n\u{1b}[0m");
    }

    #[test]
    fn invalid_nick_colour_is_rejected_with_a_hint() {
        for text in ["", "eva", "=red", "red="] {
            assert!(text.parse::<NickColour>().is_err(), "{text:?}");
        }
        for text in ["eva=pink", "eva=Red", "eva=", "eva= red"] {
            let message = text.parse::<NickColour>().unwrap_err().to_string();
            let names = COLOURS.iter().all(|(name, _)| message.contains(name));
            assert!(names && message.starts_with("unknown colour"), "{text:?}: {message}");
        }
    }
}
