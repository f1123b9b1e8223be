//! The two protocols of the files service.

use std::fmt;
use std::str::FromStr;

use super::wire;
use crate::frame::Framing;

/// The protocol between client and service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FilesDialect {
    /// Requests in JSON, one per frame. The reply is a header in JSON and the file's bytes in
    /// frames. It requires a length-prefix framing.
    #[default]
    Framed,
    /// The first message is a file name; the reply is the file's bytes, then the end of the stream.
    /// It requires [`Framing::Raw`].
    Plain,
}

impl FilesDialect {
    /// The dialects with their names on the command line.
    pub const NAMES: [(&'static str, Self); 2] = [("framed", Self::Framed), ("plain", Self::Plain)];

    /// Returns true if the dialect works with `framing`: `Framed` needs a framing that can carry
    /// [`wire::MAX_FRAME_BYTES`], `Plain` needs [`Framing::Raw`].
    ///
    /// ```
    /// use switchboard::{Framing, services::files::FilesDialect};
    /// assert!(FilesDialect::Framed.supports(Framing::U32BE));
    /// assert!(FilesDialect::Plain.supports(Framing::Raw));
    /// assert!(!FilesDialect::Framed.supports(Framing::U16BE), "a piece of a file does not fit");
    /// ```
    pub fn supports(self, framing: Framing) -> bool {
        match self {
            Self::Plain => framing == Framing::Raw,
            Self::Framed => framing != Framing::Raw && framing.can_carry(wire::MAX_FRAME_BYTES),
        }
    }
}

impl FromStr for FilesDialect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, dialect)| *dialect).ok_or("write framed or plain")
    }
}

impl fmt::Display for FilesDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Framed => "framed",
            Self::Plain => "plain",
        })
    }
}
