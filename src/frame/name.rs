//! The names of framings on the command line: `u32be`, `lines`,
//! `u16be,offset=2,adjustment=-4,skip=0`.

use std::fmt;
use std::str::FromStr;

use super::framing::Framing;
use super::length::LengthPrefix;

impl Framing {
    /// The framings that have a plain name.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("u8", Self::U8),
        ("u16be", Self::U16BE),
        ("u16le", Self::U16LE),
        ("u24be", Self::U24BE),
        ("u32be", Self::U32BE),
        ("u32le", Self::U32LE),
        ("u64be", Self::U64BE),
        ("varint", Self::Varint),
        ("lines", Self::Lines),
        ("raw", Self::Raw),
    ];
}

/// The error of parsing text that is not the name of a framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFramingError(String);

impl fmt::Display for ParseFramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseFramingError {}

impl FromStr for Framing {
    type Err = ParseFramingError;

    fn from_str(text: &str) -> Result<Self, ParseFramingError> {
        let mut words = text.split(',');
        let name = words.next().unwrap_or_default();
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        let mut framing = found.map(|(_, framing)| *framing).ok_or_else(|| {
            let known: Vec<_> = Self::NAMES.iter().map(|(known, _)| *known).collect();
            ParseFramingError(format!("unknown framing '{name}': write one of {}", known.join(" ")))
        })?;
        for word in words {
            let Self::Length(prefix) = framing else {
                return Err(ParseFramingError(format!("framing '{name}' has no options")));
            };
            framing = Self::Length(option(prefix, word).ok_or_else(|| {
                ParseFramingError(format!(
                    "unknown framing option '{word}': write offset=BYTES, adjustment=±BYTES or skip=BYTES"
                ))
            })?);
        }
        Ok(framing)
    }
}

fn option(prefix: LengthPrefix, word: &str) -> Option<LengthPrefix> {
    let (key, value) = word.split_once('=')?;
    match key {
        "offset" => Some(prefix.offset(value.parse().ok()?)),
        "adjustment" => Some(prefix.adjustment(value.parse().ok()?)),
        "skip" => Some(prefix.num_skip(value.parse().ok()?)),
        _ => None,
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = match self {
            Self::Length(prefix) => {
                let (width, endian, ..) = prefix.parts();
                Self::Length(LengthPrefix::new(width, endian))
            }
            other => *other,
        };
        match (Self::NAMES.iter().find(|(_, framing)| *framing == plain), self) {
            (Some((name, _)), _) => f.write_str(name)?,
            // A framing without a name, such as a little-endian u24, can be built with the library
            // only.
            (None, other) => write!(f, "{other:?}")?,
        }
        if let Self::Length(prefix) = self {
            let (_, _, offset, adjustment, skip) = prefix.parts();
            if offset != 0 {
                write!(f, ",offset={offset}")?;
            }
            if adjustment != 0 {
                write!(f, ",adjustment={adjustment}")?;
            }
            if let Some(skip) = skip {
                write!(f, ",skip={skip}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_str_is_the_inverse_of_display() {
        let with_options = ["u16be,offset=2", "u32le,adjustment=-4,skip=0", "u8,offset=1,adjustment=3,skip=2"];
        for text in Framing::NAMES.iter().map(|(name, _)| *name).chain(with_options) {
            assert_eq!(text.parse::<Framing>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn from_str_names_the_valid_framings_and_options() {
        for (text, expected) in [
            ("u32", "unknown framing 'u32': write one of u8 u16be"),
            ("", "unknown framing ''"),
            ("lines,offset=1", "framing 'lines' has no options"),
            ("u8,offset=-1", "unknown framing option 'offset=-1'"),
            ("u8,colour=red", "unknown framing option 'colour=red'"),
        ] {
            let error = text.parse::<Framing>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
