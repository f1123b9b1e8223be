//! The encoding of messages for one write. Knows the wire format of a message, and no socket.

use super::templates::{EchoPayload, Templates};
use crate::frame::{FrameHeader, Framing, encode, frame_header};
use crate::load::write_batch::WriteBatch;

/// Bytes from which a body is written from the table instead of copied.
const LARGE_BYTES: usize = 4 * 1024;

/// The form of messages on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireFormat {
    Stream(Framing),
    Datagrams,
}

/// The encoder of messages.
pub(super) struct MessageEncoder {
    format: WireFormat,
    /// The length and the header of the last message. Most messages have the same length.
    last_header: Option<(usize, FrameHeader)>,
}

impl MessageEncoder {
    pub(super) fn new(format: WireFormat) -> Self {
        Self { format, last_header: None }
    }

    /// Appends a message to the batch.
    #[inline]
    pub(super) fn push(&mut self, payload: &EchoPayload<'_>, templates: &Templates, batch: &mut WriteBatch) {
        match self.format {
            WireFormat::Datagrams => payload.append_to(&mut batch.bytes),
            WireFormat::Stream(Framing::Raw) => push_payload(payload, batch),
            WireFormat::Stream(Framing::Lines) => {
                push_payload(payload, batch);
                batch.bytes.push(b'\n');
            }
            WireFormat::Stream(framing) => self.push_framed(framing, payload, templates, batch),
        }
    }

    #[inline]
    fn push_framed(
        &mut self,
        framing: Framing,
        payload: &EchoPayload<'_>,
        templates: &Templates,
        batch: &mut WriteBatch,
    ) {
        let header = match self.last_header {
            Some((len, header)) if len == payload.len() => header,
            _ => match self.new_header(framing, payload, templates, batch) {
                Some(header) => header,
                None => return,
            },
        };
        match header.bytes().first_chunk::<4>() {
            // The most common header: a fixed length compiles to one store.
            Some(bytes) if header.bytes().len() == 4 => batch.bytes.extend_from_slice(bytes),
            _ => batch.bytes.extend_from_slice(header.bytes()),
        }
        push_payload(payload, batch);
    }

    /// Returns the header of a message with a new length. Where the framing's header and payload
    /// overlap, encodes the whole message into the batch and returns `None`.
    fn new_header(
        &mut self,
        framing: Framing,
        payload: &EchoPayload<'_>,
        templates: &Templates,
        batch: &mut WriteBatch,
    ) -> Option<FrameHeader> {
        // A header depends on the length alone, so any bytes of this length serve.
        let same_length = templates.table().get(..payload.len()).unwrap_or_default();
        if let Ok(Some(header)) = frame_header(framing, same_length) {
            self.last_header = Some((payload.len(), header));
            return Some(header);
        }
        // `LoadConfig::check` has rejected every length that fails here.
        let _ = encode(framing, &[payload.identity(), payload.body()].concat(), &mut batch.bytes);
        None
    }
}

#[inline]
fn push_payload(payload: &EchoPayload<'_>, batch: &mut WriteBatch) {
    if payload.body().len() < LARGE_BYTES {
        return payload.append_to(&mut batch.bytes);
    }
    payload.append_identity_to(&mut batch.bytes);
    let start = payload.body_start();
    batch.push_section(start..start + payload.body().len());
}
