//! The dialects of connections.

use crate::frame::Framing;

/// The dialect of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChatDialect {
    /// One JSON object per frame, under any length prefix.
    Json,
    /// One line of text per frame.
    Lines,
    /// As `Lines`, but one read is one message, and the encoder appends the line feeds.
    Raw,
}

impl ChatDialect {
    /// Returns the dialect that `framing` selects.
    pub(crate) fn of(framing: Framing) -> Self {
        match framing {
            Framing::Lines => Self::Lines,
            Framing::Raw => Self::Raw,
            _ => Self::Json,
        }
    }
}
