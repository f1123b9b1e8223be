//! The incremental decoder: it takes bytes in pieces of any size and returns payloads.
//!
//! A frame that is complete in the input is returned as a slice of the input. Only the start of an
//! incomplete frame is copied, into a buffer that lives as long as the frame.
//!
//! Invariants: no byte is searched twice for the end of a line. The buffer grows with the bytes
//! received, never with the length that a prefix declares.

use super::bounds::{FrameBounds, Scan};
use super::buffer_pool::BufferPool;
use super::error::{FrameError, LooksLike};
use super::framing::Framing;
use super::scan::scan;
use super::sniff;

/// The smallest buffer for an unfinished frame, in bytes.
const MIN_BUFFER_BYTES: usize = 64;

/// The decoder of one direction of one connection.
///
/// After an error the position of the next frame is unknown: do not use the decoder again.
#[derive(Debug)]
pub struct FrameDecoder {
    framing: Framing,
    max_frame_bytes: usize,
    /// True after the first complete frame.
    any_frame: bool,
    partial: Option<Box<PartialFrame>>,
}

/// The start of a frame whose end has not arrived.
#[derive(Debug)]
struct PartialFrame {
    /// Initialised storage; its first `len` bytes belong to the frame.
    buffer: Vec<u8>,
    len: usize,
    stage: PartialStage,
}

/// The progress of a [`PartialFrame`].
#[derive(Clone, Copy, Debug)]
enum PartialStage {
    /// The frame's end is unknown until at least this many bytes have arrived.
    Header(usize),
    /// The frame's end is known.
    Body(FrameBounds),
    /// The payload was returned; the next call frees the buffer.
    Delivered,
}

impl FrameDecoder {
    /// Returns a decoder for the start of a stream. It rejects payloads of more than
    /// `max_frame_bytes`.
    pub const fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        Self { framing, max_frame_bytes, any_frame: false, partial: None }
    }

    /// Returns the framing rule.
    #[inline]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Removes bytes from the front of `input` until they complete a frame, and returns its
    /// payload. Returns `None` once `input` is used up: call it until then.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes cannot be a frame. The rest of the stream cannot be decoded
    /// then.
    #[inline]
    pub fn decode<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.decode_with(input, &mut BufferPool::none())
    }

    /// [`decode`](Self::decode), with buffers from `pool`.
    #[inline]
    pub(crate) fn decode_with<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        pool: &mut BufferPool,
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if self.partial.is_some() { self.decode_partial(input, pool) } else { self.decode_whole(input, pool) }
    }

    /// Decodes `input` if it starts with a frame: the common case, without state.
    #[inline]
    fn decode_whole<'b>(
        &mut self,
        input: &mut &'b [u8],
        pool: &mut BufferPool,
    ) -> Result<Option<&'b [u8]>, FrameError> {
        let found = scan(&self.framing, input, 0, self.max_frame_bytes);
        let stage = match found.map_err(|error| remove_late_hint(error, self.any_frame))? {
            Scan::Frame(bounds) => {
                if let Some((frame, rest)) = input.split_at_checked(bounds.end) {
                    *input = rest;
                    self.any_frame = true;
                    return Ok(frame.get(bounds.payload()));
                }
                PartialStage::Body(bounds)
            }
            Scan::NeedBytes(needed) => PartialStage::Header(needed),
        };
        if !input.is_empty() {
            self.partial = Some(Box::new(PartialFrame::new(input, stage, pool)));
            *input = &[];
        }
        Ok(None)
    }

    /// Continues the frame that an earlier call left incomplete.
    fn decode_partial<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        pool: &mut BufferPool,
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if let Some(done) = self.partial.take_if(|partial| matches!(partial.stage, PartialStage::Delivered)) {
            pool.give(done.buffer);
            return self.decode_whole(input, pool);
        }
        let Self { framing, max_frame_bytes, any_frame, partial } = self;
        // The payload borrows from `partial`, so a delivered frame can be freed by the next call
        // only.
        let Some(partial) = partial.as_deref_mut() else { return Ok(None) };
        while let PartialStage::Header(needed) = partial.stage {
            if partial.len < needed && input.is_empty() {
                return Ok(None);
            }
            let scanned = partial.len;
            partial.take(
                input,
                header_bytes_to_take(framing, needed - partial.len.min(needed), input),
                usize::MAX,
                pool,
            );
            let found = scan(framing, partial.bytes(), scanned, *max_frame_bytes);
            partial.stage = match found.map_err(|error| remove_late_hint(error, *any_frame))? {
                Scan::NeedBytes(needed) => PartialStage::Header(needed),
                Scan::Frame(bounds) => PartialStage::Body(bounds),
            };
        }
        let PartialStage::Body(bounds) = partial.stage else { return Ok(None) };
        partial.take(input, bounds.end - partial.len, bounds.end, pool);
        if partial.len < bounds.end {
            return Ok(None);
        }
        partial.stage = PartialStage::Delivered;
        *any_frame = true;
        Ok(partial.buffer.get(bounds.payload()))
    }

    /// Returns the space for the rest of an incomplete frame, into which a read may go directly,
    /// without a copy. The slice is empty between frames and while the frame's end is unknown. Call
    /// [`filled`](Self::filled) after the read.
    pub fn spare(&mut self) -> &mut [u8] {
        self.spare_with(&mut BufferPool::none())
    }

    /// [`spare`](Self::spare), with buffers from `pool`.
    #[inline]
    pub(crate) fn spare_with(&mut self, pool: &mut BufferPool) -> &mut [u8] {
        let Some(partial) = self.partial.as_deref_mut() else { return &mut [] };
        let PartialStage::Body(bounds) = partial.stage else { return &mut [] };
        partial.make_room(bounds.end, pool);
        let end = bounds.end.min(partial.buffer.len());
        partial.buffer.get_mut(partial.len..end).unwrap_or_default()
    }

    /// Adds the first `bytes` of [`spare`](Self::spare) to the frame. In the stream they precede
    /// all later input of [`decode`](Self::decode).
    pub fn filled(&mut self, bytes: usize) {
        if let Some(partial) = self.partial.as_deref_mut()
            && let PartialStage::Body(bounds) = partial.stage
        {
            partial.len = partial.len.saturating_add(bytes).min(bounds.end).min(partial.buffer.len());
        }
    }

    /// Ends the stream. Returns the last line if its line feed is missing, otherwise `None`.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let partial = self.partial.as_deref_mut()?;
        if self.framing != Framing::Lines || !matches!(partial.stage, PartialStage::Header(_)) {
            return None;
        }
        partial.stage = PartialStage::Delivered;
        let end = partial.len - usize::from(partial.bytes().last() == Some(&b'\r'));
        partial.buffer.get(..end)
    }

    /// Returns the number of bytes received of an incomplete frame; `None` between frames.
    pub fn unfinished_bytes(&self) -> Option<usize> {
        let partial = self.partial.as_deref()?;
        (!matches!(partial.stage, PartialStage::Delivered)).then_some(partial.len)
    }

    /// Returns the size of the buffer held for an incomplete frame, in bytes.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.partial.as_deref().map_or(0, |partial| partial.buffer.len())
    }

    /// Returns a guess at the protocol of the stream's first bytes, if they are an incomplete first
    /// frame that resembles text, HTTP or TLS.
    pub fn looks_like(&self) -> Option<LooksLike> {
        let partial = self.partial.as_deref()?;
        let prefixed = matches!(self.framing, Framing::Length(_) | Framing::Varint);
        if prefixed && !self.any_frame { sniff::looks_like(partial.bytes()) } else { None }
    }
}

/// Removes the protocol hint from `error` after the first complete frame: such a peer uses the
/// right protocol.
#[cold]
fn remove_late_hint(error: FrameError, any_frame: bool) -> FrameError {
    match error {
        FrameError::TooLarge { declared_bytes, max_frame_bytes, .. } if any_frame => {
            FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
        }
        other => other,
    }
}

/// Returns the number of bytes to take from `input` while the frame's end is unknown, at most up to
/// the end of this frame.
fn header_bytes_to_take(framing: &Framing, missing: usize, input: &[u8]) -> usize {
    match framing {
        Framing::Lines => memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1),
        Framing::Length(_) | Framing::Varint | Framing::Raw => missing,
    }
}

impl PartialFrame {
    fn new(bytes: &[u8], stage: PartialStage, pool: &mut BufferPool) -> Self {
        let mut partial = Self { buffer: Vec::new(), len: 0, stage };
        let most = if let PartialStage::Body(bounds) = stage { bounds.end } else { usize::MAX };
        partial.append(bytes, most, pool);
        partial
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Moves up to `count` bytes from the front of `input` to the end of the frame.
    fn take(&mut self, input: &mut &[u8], count: usize, most: usize, pool: &mut BufferPool) {
        let (taken, rest) = input.split_at(count.min(input.len()));
        self.append(taken, most, pool);
        *input = rest;
    }

    /// Appends `bytes` to the frame. `most` is the frame's final length if known, which bounds the
    /// buffer's size.
    fn append(&mut self, bytes: &[u8], most: usize, pool: &mut BufferPool) {
        let end = self.len + bytes.len();
        if end > self.buffer.len() {
            self.grow(end, most, pool);
        }
        if let Some(room) = self.buffer.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    /// Makes space for at least one more byte, unless the frame is complete.
    fn make_room(&mut self, most: usize, pool: &mut BufferPool) {
        if self.len == self.buffer.len() && self.len < most {
            self.grow(self.len + 1, most, pool);
        }
    }

    /// Grows the buffer to twice the bytes received, or by a quarter while memory is short. Each
    /// byte is thus copied a constant number of times, however small the pieces.
    fn grow(&mut self, needed: usize, most: usize, pool: &mut BufferPool) {
        let size = pool.growing_size(needed).max(MIN_BUFFER_BYTES).min(most).max(needed);
        // A new buffer, not `Vec::resize`: the allocator gets large zeroed memory from the kernel,
        // which commits only the pages that are written.
        let mut larger = pool.take(size, most).unwrap_or_else(|| vec![0; size]);
        if let (Some(room), Some(bytes)) = (larger.get_mut(..self.len), self.buffer.get(..self.len)) {
            room.copy_from_slice(bytes);
        }
        pool.give(std::mem::replace(&mut self.buffer, larger));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_counts_at_most_the_spare_bytes() {
        let mut decoder = FrameDecoder::new(Framing::U8, 100);
        decoder.filled(60);
        assert_eq!(decoder.decode(&mut &b"\x05he"[..]), Ok(None));
        decoder.spare().copy_from_slice(b"llo");
        decoder.filled(60);
        assert_eq!(decoder.decode(&mut &b""[..]), Ok(Some(&b"hello"[..])));
    }

    /// If the search for a line feed started over with each piece, a long line would cost the
    /// square of its length.
    #[test]
    fn the_search_for_a_line_feed_does_not_start_over() {
        let mut decoder = FrameDecoder::new(Framing::Lines, 100);
        assert_eq!(decoder.decode(&mut &b"one"[..]), Ok(None));
        assert_eq!(decoder.decode(&mut &b" and"[..]), Ok(None));
        let overwritten = b"one\nand";
        decoder.partial.as_mut().unwrap().buffer[..overwritten.len()].copy_from_slice(overwritten);
        assert_eq!(decoder.decode(&mut &b" two\n"[..]), Ok(Some(&b"one\nand two"[..])));
    }
}
