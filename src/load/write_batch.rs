//! What one call is to send: messages as they stand on the wire, small ones copied together, large bodies where they lie.
//!
//! Knows how a message is framed, and no socket but as something that takes bytes.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::net::LoadSocket;
use super::templates::{EchoPayload, Templates};
use crate::frame::{FrameHeader, Framing, encode, frame_header};

/// A batch takes no further message past this many bytes.
const FULL_BYTES: usize = 256 * 1024;

/// A body of so many bytes is cheaper left where it is.
const LARGE_BYTES: usize = 4 * 1024;

/// Large bodies of one batch. Twice as many slices, and one, go to the system.
const MAX_LARGE: usize = 7;
const MAX_SLICES: usize = 2 * MAX_LARGE + 1;

/// How messages are put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireFormat {
    Stream(Framing),
    Datagrams,
}

/// Messages to be sent with one call.
pub(super) struct WriteBatch {
    wire: WireFormat,
    bytes: Vec<u8>,
    /// Bodies that are not in `bytes`: where in the table, and how many of `bytes` go before.
    large: Vec<(usize, Range<usize>)>,
    len: usize,
    /// The head of the last message, and its length: messages are mostly alike.
    last_head: Option<(usize, FrameHeader)>,
}

impl WriteBatch {
    pub(super) fn new(wire: WireFormat) -> Self {
        Self { wire, bytes: Vec::new(), large: Vec::with_capacity(MAX_LARGE), len: 0, last_head: None }
    }

    pub(super) fn is_full(&self) -> bool {
        let one = self.wire == WireFormat::Datagrams && self.len > 0;
        one || self.len >= FULL_BYTES || self.large.len() >= MAX_LARGE
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
        self.len = 0;
    }

    #[inline]
    pub(super) fn push(&mut self, image: &EchoPayload<'_>, templates: &Templates) {
        match self.wire {
            WireFormat::Datagrams => self.push_small(image),
            WireFormat::Stream(Framing::Raw) => self.push_body(image),
            WireFormat::Stream(Framing::Lines) => {
                self.push_body(image);
                self.push_bytes(b"\n");
            }
            WireFormat::Stream(framing) => self.push_headed(framing, image, templates),
        }
    }

    #[inline]
    fn push_headed(&mut self, framing: Framing, image: &EchoPayload<'_>, templates: &Templates) {
        let head = match self.last_head {
            Some((len, head)) if len == image.len() => head,
            _ => match self.new_head(framing, image, templates) {
                Some(head) => head,
                None => return,
            },
        };
        self.push_bytes(head.bytes());
        self.push_body(image);
    }

    /// The head of a message unlike the last; none where head and payload overlap, and then the message is encoded.
    fn new_head(&mut self, framing: Framing, image: &EchoPayload<'_>, templates: &Templates) -> Option<FrameHeader> {
        // A head says no more than a length, so any payload that long will do.
        let like_it = templates.table().get(..image.len()).unwrap_or_default();
        if let Ok(Some(head)) = frame_header(framing, like_it) {
            self.last_head = Some((image.len(), head));
            return Some(head);
        }
        let before = self.bytes.len();
        // The config was refused if this could fail.
        let _ = encode(framing, &[image.head(), image.body()].concat(), &mut self.bytes);
        self.len += self.bytes.len() - before;
        None
    }

    #[inline]
    fn push_bytes(&mut self, bytes: &[u8]) {
        match bytes.first_chunk::<4>() {
            // The commonest head, and then it is one store.
            Some(head) if bytes.len() == 4 => self.bytes.extend_from_slice(head),
            _ => self.bytes.extend_from_slice(bytes),
        }
        self.len += bytes.len();
    }

    #[inline]
    fn push_small(&mut self, image: &EchoPayload<'_>) {
        image.append_to(&mut self.bytes);
        self.len += image.len();
    }

    #[inline]
    fn push_body(&mut self, image: &EchoPayload<'_>) {
        if image.body().len() < LARGE_BYTES {
            return self.push_small(image);
        }
        image.append_head_to(&mut self.bytes);
        let start = image.body_start();
        self.large.push((self.bytes.len(), start..start + image.body().len()));
        self.len += image.len();
    }

    /// Offers all of it to the socket with one call; returns how much it took.
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

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts what follows the first `taken` bytes at the end of `rest`.
    pub(super) fn copy_rest(&self, mut taken: usize, templates: &Templates, rest: &mut Vec<u8>) {
        for piece in self.pieces(templates) {
            let left = piece.get(taken..).unwrap_or_default();
            taken -= taken.min(piece.len());
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
