//! Replies of one step, on their way from a service's callbacks to one write.
//!
//! An engine owns one outbox and lends it to each callback in turn, so that a pipeline of small requests costs one buffer
//! that is never allocated again and one system call. A large reply that is, or lies within, what was just received is not
//! copied at all: the outbox remembers where it lies, and the engine writes it from there before those bytes are let go of.

use std::ops::Range;

use crate::frame::{EncodeError, Framing, encode, frame_header};

/// Replies of at least this many bytes are sent from where they lie, if they were just received. Below it a copy is cheaper
/// than slices of its own.
const LEND_BYTES: usize = 8 * 1024;

/// Replies that may lie elsewhere at once.
const MAX_LENT: usize = 16;

/// Pieces that the replies of one step lie in, at most.
pub(crate) const MAX_PIECES: usize = 2 * MAX_LENT + 1;

/// Replies that are worth their system call even while more requests wait: half a default socket buffer, in bytes.
const FLUSH_BYTES: usize = 64 * 1024;

/// Memory kept from one step to the next.
const KEPT_BYTES: usize = 256 * 1024;

/// Encoded replies that have not been written yet.
#[derive(Debug, Default)]
pub(crate) struct ReplyBuffer {
    bytes: Vec<u8>,
    frames: u32,
    lent: Vec<BorrowedReply>,
    lent_bytes: usize,
    lender: Lender,
    unsendable: Option<EncodeError>,
}

/// A reply that lies elsewhere: those bytes there go out after the first `at` bytes here.
#[derive(Clone, Debug)]
struct BorrowedReply {
    at: usize,
    there: Range<usize>,
}

/// What a reply may be sent from without being copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplySource<'a> {
    /// The bytes received with the request. They stay where they are until all frames in them have been answered.
    pub(crate) received: &'a [u8],
    /// The request itself, which may have been put together elsewhere. It stays until the next frame is looked for.
    pub(crate) request: &'a [u8],
}

/// Which part of a [`ReplySource`] replies lie in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lender {
    #[default]
    Received,
    Request,
}

impl ReplyBuffer {
    /// Adds a reply, framed.
    #[inline]
    pub(crate) fn reply(
        &mut self,
        framing: Framing,
        payload: &[u8],
        origin: ReplySource<'_>,
    ) -> Result<(), EncodeError> {
        if payload.len() >= LEND_BYTES && self.lend(framing, payload, origin)? {
            return Ok(());
        }
        encode(framing, payload, &mut self.bytes)?;
        self.frames += 1;
        Ok(())
    }

    fn lend(&mut self, framing: Framing, payload: &[u8], origin: ReplySource<'_>) -> Result<bool, EncodeError> {
        let (lender, there) = match (place(payload, origin.received), place(payload, origin.request)) {
            (Some(there), _) => (Lender::Received, there),
            (None, Some(there)) => (Lender::Request, there),
            (None, None) => return Ok(false),
        };
        let mixed = lender != self.lender && !self.lent.is_empty();
        if mixed || self.lent.len() == MAX_LENT {
            return Ok(false);
        }
        let Some(header) = frame_header(framing, payload)? else { return Ok(false) };
        self.bytes.extend_from_slice(header.bytes());
        self.lent_bytes += there.len();
        self.lent.push(BorrowedReply { at: self.bytes.len(), there });
        self.lender = lender;
        self.bytes.extend_from_slice(header.trailer());
        self.frames += 1;
        Ok(true)
    }

    /// Adds frames encoded before.
    pub(crate) fn push_encoded(&mut self, encoded: &[u8], frames: u32) {
        self.bytes.extend_from_slice(encoded);
        self.frames += frames;
    }

    /// Remembers that a reply could not be framed, which ends its connection.
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

    /// Whether so much was copied here that it should be written before more is added.
    #[inline]
    pub(crate) fn is_worth_a_write(&self) -> bool {
        self.bytes.len() >= FLUSH_BYTES || self.lent.len() == MAX_LENT
    }

    /// Whether a reply lies elsewhere.
    #[inline]
    pub(crate) fn has_lent(&self) -> bool {
        !self.lent.is_empty()
    }

    /// Whether a reply lies in the request alone, which therefore has to be kept until this is written.
    #[inline]
    pub(crate) fn lies_in_request(&self) -> bool {
        self.lender == Lender::Request && self.has_lent()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.lent_bytes
    }

    /// The replies in order, in at most [`MAX_PIECES`] pieces.
    pub(crate) fn pieces<'a>(&'a self, origin: ReplySource<'a>) -> impl Iterator<Item = &'a [u8]> + Clone {
        let lender = match self.lender {
            Lender::Received => origin.received,
            Lender::Request => origin.request,
        };
        let ends = self.lent.iter().map(|lent| lent.at).chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(self.lent.iter().map(|lent| lent.at));
        let here = starts.zip(ends).map(|(start, end)| self.bytes.get(start..end).unwrap_or_default());
        let there = self.lent.iter().map(|lent| lender.get(lent.there.clone()).unwrap_or_default());
        here.zip(there.chain([&[][..]])).flat_map(|(here, there)| [here, there]).filter(|piece| !piece.is_empty())
    }

    /// The replies as one piece, if none lies elsewhere.
    #[inline]
    pub(crate) fn one_piece(&self) -> Option<&[u8]> {
        self.lent.is_empty().then_some(&self.bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.frames = 0;
        self.lent.clear();
        self.lent_bytes = 0;
        self.lender = Lender::Received;
    }
}

impl<'a> ReplySource<'a> {
    /// Nothing that a reply could lie in.
    pub(crate) const NONE: ReplySource<'static> = ReplySource { received: &[], request: &[] };

    pub(crate) const fn received(received: &'a [u8]) -> Self {
        Self { received, request: &[] }
    }
}

/// Where `part` lies within `whole`, if it does. Only addresses are compared; bytes are always taken from `whole` itself.
fn place(part: &[u8], whole: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

#[cfg(test)]
mod tests;
