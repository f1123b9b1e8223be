//! The batch of messages that one write sends. Small messages are copied together; large bodies
//! stay in the templates' table and are written from there.
//!
//! Knows the wire format of a message, and the socket only as the target of a write.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::net::LoadSocket;
use super::templates::{EchoPayload, Templates};
use crate::frame::{FrameHeader, Framing, encode, frame_header};

/// Bytes at which a batch is full.
const FULL_BYTES: usize = 256 * 1024;

/// Bytes from which a body is written from the table instead of copied.
const LARGE_BYTES: usize = 4 * 1024;

/// Large bodies of one batch.
const MAX_LARGE: usize = 7;
/// Slices of one vectored write: each large body, the bytes before each, and those after the last.
const MAX_SLICES: usize = 2 * MAX_LARGE + 1;

/// The form of messages on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireFormat {
    Stream(Framing),
    Datagrams,
}

/// The messages that one write sends.
pub(super) struct WriteBatch {
    format: WireFormat,
    /// All bytes except the large bodies.
    bytes: Vec<u8>,
    /// Large bodies: the length of `bytes` before each, and its range in the table.
    large: Vec<(usize, Range<usize>)>,
    len: usize,
    /// The length and the header of the last message. Most messages have the same length.
    last_header: Option<(usize, FrameHeader)>,
}

impl WriteBatch {
    pub(super) fn new(format: WireFormat) -> Self {
        Self { format, bytes: Vec::new(), large: Vec::with_capacity(MAX_LARGE), len: 0, last_header: None }
    }

    /// Returns true if the batch takes no further message.
    pub(super) fn is_full(&self) -> bool {
        let has_datagram = self.format == WireFormat::Datagrams && self.len > 0;
        has_datagram || self.len >= FULL_BYTES || self.large.len() >= MAX_LARGE
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
        self.len = 0;
    }

    /// Appends a message.
    #[inline]
    pub(super) fn push(&mut self, payload: &EchoPayload<'_>, templates: &Templates) {
        match self.format {
            WireFormat::Datagrams => self.push_copy(payload),
            WireFormat::Stream(Framing::Raw) => self.push_payload(payload),
            WireFormat::Stream(Framing::Lines) => {
                self.push_payload(payload);
                self.push_bytes(b"\n");
            }
            WireFormat::Stream(framing) => self.push_framed(framing, payload, templates),
        }
    }

    #[inline]
    fn push_framed(&mut self, framing: Framing, payload: &EchoPayload<'_>, templates: &Templates) {
        let header = match self.last_header {
            Some((len, header)) if len == payload.len() => header,
            _ => match self.new_header(framing, payload, templates) {
                Some(header) => header,
                None => return,
            },
        };
        self.push_bytes(header.bytes());
        self.push_payload(payload);
    }

    /// Returns the header of a message with a new length. Where the framing's header and payload
    /// overlap, encodes the whole message into the batch and returns `None`.
    fn new_header(
        &mut self,
        framing: Framing,
        payload: &EchoPayload<'_>,
        templates: &Templates,
    ) -> Option<FrameHeader> {
        // A header depends on the length alone, so any bytes of this length serve.
        let same_length = templates.table().get(..payload.len()).unwrap_or_default();
        if let Ok(Some(header)) = frame_header(framing, same_length) {
            self.last_header = Some((payload.len(), header));
            return Some(header);
        }
        let before = self.bytes.len();
        // `LoadConfig::check` has rejected every length that fails here.
        let _ = encode(framing, &[payload.identity(), payload.body()].concat(), &mut self.bytes);
        self.len += self.bytes.len() - before;
        None
    }

    #[inline]
    fn push_bytes(&mut self, bytes: &[u8]) {
        match bytes.first_chunk::<4>() {
            // The most common header: a fixed length compiles to one store.
            Some(header) if bytes.len() == 4 => self.bytes.extend_from_slice(header),
            _ => self.bytes.extend_from_slice(bytes),
        }
        self.len += bytes.len();
    }

    #[inline]
    fn push_copy(&mut self, payload: &EchoPayload<'_>) {
        payload.append_to(&mut self.bytes);
        self.len += payload.len();
    }

    #[inline]
    fn push_payload(&mut self, payload: &EchoPayload<'_>) {
        if payload.body().len() < LARGE_BYTES {
            return self.push_copy(payload);
        }
        payload.append_identity_to(&mut self.bytes);
        let start = payload.body_start();
        self.large.push((self.bytes.len(), start..start + payload.body().len()));
        self.len += payload.len();
    }

    /// Writes the batch with one system call; returns how many bytes the socket took.
    #[inline]
    pub(super) fn write(&self, socket: &mut LoadSocket, templates: &Templates) -> io::Result<usize> {
        if self.large.is_empty() {
            return socket.write(&self.bytes);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces(templates)) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        socket.write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// Returns the bytes in the batch.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends the bytes after the first `written` ones to `rest`.
    pub(super) fn copy_rest(&self, mut written: usize, templates: &Templates, rest: &mut Vec<u8>) {
        for piece in self.pieces(templates) {
            let left = piece.get(written..).unwrap_or_default();
            written -= written.min(piece.len());
            rest.extend_from_slice(left);
        }
    }

    fn pieces<'a>(&'a self, templates: &'a Templates) -> impl Iterator<Item = &'a [u8]> {
        let mut from = 0;
        let large = self.large.iter().flat_map(move |(before, body)| {
            let small = self.bytes.get(from..*before).unwrap_or_default();
            from = *before;
            [small, templates.table().get(body.clone()).unwrap_or_default()]
        });
        let end = self.large.last().map_or(0, |(before, _)| *before);
        large.chain(std::iter::once(self.bytes.get(end..).unwrap_or_default()))
    }
}
