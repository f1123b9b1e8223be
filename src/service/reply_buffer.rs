//! The buffer for the replies of one step, between a service's callbacks and one write.
//!
//! Each worker owns one reply buffer and passes it to every callback. A pipeline of small requests
//! thus costs one reused buffer and one system call. A large reply that is a part of the received
//! bytes is not copied: the buffer records its position, and the engine writes it from there before
//! it reuses the receive buffer.

use std::ops::Range;

use crate::frame::{EncodeError, Framing, encode, frame_header};

/// The smallest reply, in bytes, that is sent from the received bytes without a copy. Below this
/// size a copy is cheaper than a separate slice in the write call.
const MIN_BORROWED_BYTES: usize = 8 * 1024;

/// Borrowed replies in one buffer at most.
const MAX_BORROWED: usize = 16;

/// Slices at most that hold the replies of one step.
pub(crate) const MAX_PIECES: usize = 2 * MAX_BORROWED + 1;

/// Reply bytes that are written before further requests are handled: half a default socket buffer.
pub(crate) const FLUSH_BYTES: usize = 64 * 1024;

/// Capacity kept from one step to the next, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// Encoded replies that have not been written yet.
#[derive(Debug, Default)]
pub(crate) struct ReplyBuffer {
    bytes: Vec<u8>,
    frames: u32,
    borrowed: Vec<BorrowedReply>,
    borrowed_bytes: usize,
    borrowed_from: BorrowedFrom,
    unsendable: Option<EncodeError>,
}

/// A reply that is a part of the received bytes: the bytes in `there` go out after the first `at`
/// bytes of the buffer.
#[derive(Clone, Debug)]
struct BorrowedReply {
    at: usize,
    there: Range<usize>,
}

/// The received bytes that a reply may be a part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplySource<'a> {
    /// The receive buffer. It stays unchanged until all frames in it have been answered.
    pub(crate) received: &'a [u8],
    /// The request, if the decoder assembled it in its own buffer. It stays unchanged until the
    /// next frame is decoded.
    pub(crate) request: &'a [u8],
}

/// The part of a [`ReplySource`] that borrowed replies point into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BorrowedFrom {
    #[default]
    Received,
    Request,
}

impl ReplyBuffer {
    /// Encodes a reply and adds it.
    #[inline]
    pub(crate) fn reply(
        &mut self,
        framing: Framing,
        payload: &[u8],
        source: ReplySource<'_>,
    ) -> Result<(), EncodeError> {
        if payload.len() >= MIN_BORROWED_BYTES && self.borrow(framing, payload, source)? {
            return Ok(());
        }
        encode(framing, payload, &mut self.bytes)?;
        self.frames += 1;
        Ok(())
    }

    /// Adds a reply without copying it; returns false if that is not possible.
    fn borrow(&mut self, framing: Framing, payload: &[u8], source: ReplySource<'_>) -> Result<bool, EncodeError> {
        let (borrowed_from, there) =
            match (position_within(payload, source.received), position_within(payload, source.request)) {
                (Some(there), _) => (BorrowedFrom::Received, there),
                (None, Some(there)) => (BorrowedFrom::Request, there),
                (None, None) => return Ok(false),
            };
        let mixed = borrowed_from != self.borrowed_from && !self.borrowed.is_empty();
        if mixed || self.borrowed.len() == MAX_BORROWED {
            return Ok(false);
        }
        let Some(header) = frame_header(framing, payload)? else { return Ok(false) };
        self.bytes.extend_from_slice(header.bytes());
        self.borrowed_bytes += there.len();
        self.borrowed.push(BorrowedReply { at: self.bytes.len(), there });
        self.borrowed_from = borrowed_from;
        self.bytes.extend_from_slice(header.trailer());
        self.frames += 1;
        Ok(true)
    }

    /// Adds frames that are already encoded.
    pub(crate) fn push_encoded(&mut self, encoded: &[u8], frames: u32) {
        self.bytes.extend_from_slice(encoded);
        self.frames += frames;
    }

    /// Records that a reply could not be encoded, which closes its connection.
    pub(crate) fn fail(&mut self, error: EncodeError) {
        self.unsendable.get_or_insert(error);
    }

    #[inline]
    pub(crate) fn take_failure(&mut self) -> Option<EncodeError> {
        self.unsendable.take()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Returns true if the buffer should be written before more replies are added.
    #[inline]
    pub(crate) fn should_write(&self) -> bool {
        self.bytes.len() >= FLUSH_BYTES || self.borrowed.len() == MAX_BORROWED
    }

    /// Returns true if a reply is borrowed.
    #[inline]
    pub(crate) fn has_borrowed(&self) -> bool {
        !self.borrowed.is_empty()
    }

    /// Returns true if a reply is borrowed from the request, which must then stay unchanged until
    /// the buffer is written.
    #[inline]
    pub(crate) fn borrows_request(&self) -> bool {
        self.borrowed_from == BorrowedFrom::Request && self.has_borrowed()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.borrowed_bytes
    }

    /// Returns the replies in order, as at most [`MAX_PIECES`] slices.
    pub(crate) fn pieces<'a>(&'a self, source: ReplySource<'a>) -> impl Iterator<Item = &'a [u8]> + Clone {
        let borrowed_from = match self.borrowed_from {
            BorrowedFrom::Received => source.received,
            BorrowedFrom::Request => source.request,
        };
        let ends = self.borrowed.iter().map(|borrowed| borrowed.at).chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(self.borrowed.iter().map(|borrowed| borrowed.at));
        let here = starts.zip(ends).map(|(start, end)| self.bytes.get(start..end).unwrap_or_default());
        let there = self.borrowed.iter().map(|borrowed| borrowed_from.get(borrowed.there.clone()).unwrap_or_default());
        here.zip(there.chain([&[][..]])).flat_map(|(here, there)| [here, there]).filter(|piece| !piece.is_empty())
    }

    /// Returns the replies as one slice; `None` if a reply is borrowed.
    #[inline]
    pub(crate) fn as_one_slice(&self) -> Option<&[u8]> {
        self.borrowed.is_empty().then_some(&self.bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.frames = 0;
        self.borrowed.clear();
        self.borrowed_bytes = 0;
        self.borrowed_from = BorrowedFrom::Received;
    }
}

impl<'a> ReplySource<'a> {
    /// No received bytes.
    pub(crate) const NONE: ReplySource<'static> = ReplySource { received: &[], request: &[] };

    pub(crate) const fn received(received: &'a [u8]) -> Self {
        Self { received, request: &[] }
    }
}

/// Returns the range of `part` within `whole`, or `None`. Compares addresses only; bytes are always
/// read through `whole`.
fn position_within(part: &[u8], whole: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

#[cfg(test)]
mod tests;
