//! Replies of one step, on their way from a service's callbacks to one write.
//!
//! An engine owns one outbox and lends it to each callback in turn, so that a pipeline of small requests costs one buffer
//! that is never allocated again and one system call. A large reply that is, or lies within, the very frame it answers is not
//! copied at all: the outbox remembers where it lies, and the engine writes it from there before the frame is let go of.

use crate::error::EncodeError;
use crate::frame::{Framing, encode, head};

/// Replies of at least this many bytes are sent from where they lie, if that is the frame being answered. Below it a copy
/// is cheaper than a write of its own.
const LEND_BYTES: usize = 8 * 1024;

/// Replies that are worth their system call even while more requests wait: half a default socket buffer, in bytes.
const FLUSH_BYTES: usize = 64 * 1024;

/// Memory kept from one step to the next.
const KEPT_BYTES: usize = 256 * 1024;

/// Encoded replies that have not been written yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    frames: u32,
    lent: Option<Lent>,
    unsendable: Option<EncodeError>,
}

/// A reply that lies within the frame it answers: `len` bytes from `start` there go out after the first `at` bytes here.
#[derive(Clone, Copy, Debug)]
struct Lent {
    at: usize,
    start: usize,
    len: usize,
}

impl Outbox {
    /// Adds a reply to `request`, framed.
    #[inline]
    pub(crate) fn reply(&mut self, framing: Framing, payload: &[u8], request: &[u8]) -> Result<(), EncodeError> {
        if payload.len() >= LEND_BYTES && self.lend(framing, payload, request)? {
            return Ok(());
        }
        encode(framing, payload, &mut self.bytes)?;
        self.frames += 1;
        Ok(())
    }

    fn lend(&mut self, framing: Framing, payload: &[u8], request: &[u8]) -> Result<bool, EncodeError> {
        let Some(start) = (payload.as_ptr() as usize).checked_sub(request.as_ptr() as usize) else { return Ok(false) };
        if self.lent.is_some() || start.saturating_add(payload.len()) > request.len() {
            return Ok(false);
        }
        let Some(head) = head(framing, payload)? else { return Ok(false) };
        self.bytes.extend_from_slice(head.bytes());
        self.lent = Some(Lent { at: self.bytes.len(), start, len: payload.len() });
        self.bytes.extend_from_slice(head.tail());
        self.frames += 1;
        Ok(true)
    }

    /// Adds a frame encoded before.
    pub(crate) fn push_encoded(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.frames += 1;
    }

    /// Remembers that a reply could not be framed, which ends its connection.
    pub(crate) fn fail(&mut self, error: EncodeError) {
        self.unsendable.get_or_insert(error);
    }

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

    /// Whether so much waits that it should be written before more is added.
    #[inline]
    pub(crate) fn is_worth_a_write(&self) -> bool {
        self.bytes.len() >= FLUSH_BYTES
    }

    /// Whether a reply lies within the request, which therefore has to be kept until this is written.
    #[inline]
    pub(crate) fn has_lent(&self) -> bool {
        self.lent.is_some()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.lent.map_or(0, |lent| lent.len)
    }

    /// The replies in order, as up to three pieces; `request` is the frame that they answer.
    pub(crate) fn pieces<'a>(&'a self, request: &'a [u8]) -> [&'a [u8]; 3] {
        let Some(Lent { at, start, len }) = self.lent else { return [&self.bytes, &[], &[]] };
        let (before, after) = self.bytes.split_at(at);
        [before, request.get(start..start + len).unwrap_or_default(), after]
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.frames = 0;
        self.lent = None;
    }
}
