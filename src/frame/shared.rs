//! A payload for many receivers, framed once for each framing among them.

use super::{Framing, encode};
use crate::payload::Payload;

/// One payload on its way to many connections. What it is framed to is shared by all that are framed alike.
pub(crate) struct SharedFrames<'a> {
    payload: &'a Payload,
    framed: Vec<(Framing, Option<Payload>)>,
}

impl<'a> SharedFrames<'a> {
    pub(crate) fn of(payload: &'a Payload) -> Self {
        Self { payload, framed: Vec::new() }
    }

    /// The payload under `framing`; nothing if that cannot carry it, which the log is told once.
    pub(crate) fn under(&mut self, framing: Framing) -> Option<&Payload> {
        let at = self.framed.iter().position(|(known, _)| *known == framing).unwrap_or_else(|| {
            self.framed.push((framing, frame(framing, self.payload)));
            self.framed.len() - 1
        });
        self.framed.get(at)?.1.as_ref()
    }
}

fn frame(framing: Framing, payload: &Payload) -> Option<Payload> {
    if framing == Framing::Raw {
        return Some(payload.clone());
    }
    let mut bytes = Vec::new();
    match encode(framing, payload, &mut bytes) {
        Ok(()) => Some(bytes.into()),
        Err(error) => {
            log::warn!("a message could not be sent to connections framed as {framing}: {error}");
            None
        }
    }
}
