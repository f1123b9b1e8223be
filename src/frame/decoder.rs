//! The incremental machine that cuts a stream: bytes in, in any pieces; payloads out.
//!
//! A frame that lies whole in the bytes given is handed out where it lies. Only the remainder of an unfinished one is copied,
//! into a buffer that exists as long as the frame does. No byte is looked at twice in search of an end, and the buffer grows
//! with the bytes received: a prefix that promises a gigabyte gets a refusal or the minimum, never a gigabyte.

use super::bounds::{Bounds, Cut};
use super::buffer_pool::BufferPool;
use super::cut::cut;
use super::error::{FrameError, LooksLike};
use super::framing::Framing;
use super::sniff;

/// The smallest buffer for an unfinished frame, in bytes.
const MIN_BUFFER_BYTES: usize = 64;

/// Cuts one direction of one connection into payloads.
///
/// After an error the stream has no next frame: a decoder that has failed is not to be asked again.
#[derive(Debug)]
pub struct FrameDecoder {
    framing: Framing,
    max_frame_bytes: usize,
    any_frame: bool,
    partial: Option<Box<Partial>>,
}

/// A frame that began in an earlier piece, from its first byte on.
#[derive(Debug)]
struct Partial {
    /// Initialised storage; the first `len` bytes are the frame's.
    buffer: Vec<u8>,
    len: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Its end is known when this many bytes are here, or later.
    Head(usize),
    /// Its end is known.
    Body(Bounds),
    /// It was handed out; the next call lets go of it.
    Done,
}

impl FrameDecoder {
    /// A decoder at the start of a stream that refuses payloads of more than `max_frame_bytes`.
    pub const fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        Self { framing, max_frame_bytes, any_frame: false, partial: None }
    }

    /// The rule in force.
    #[inline]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Takes bytes off the front of `input` until they complete a frame, and gives its payload; `None` when `input` is used
    /// up. Call it until it says `None`.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes cannot be a frame; the stream is then of no further use.
    #[inline]
    pub fn decode<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.decode_with(input, &mut BufferPool::none())
    }

    /// [`decode`](Self::decode), with buffers from `spares` where a frame needs one.
    #[inline]
    pub(crate) fn decode_with<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        spares: &mut BufferPool,
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if self.partial.is_some() { self.decode_partial(input, spares) } else { self.decode_whole(input, spares) }
    }

    /// The common case, for which nothing is remembered: `input` begins where a frame does.
    #[inline]
    fn decode_whole<'b>(
        &mut self,
        input: &mut &'b [u8],
        spares: &mut BufferPool,
    ) -> Result<Option<&'b [u8]>, FrameError> {
        let found = cut(&self.framing, input, 0, self.max_frame_bytes);
        let stage = match found.map_err(|error| judged(error, self.any_frame))? {
            Cut::Frame(bounds) => {
                if let Some((frame, rest)) = input.split_at_checked(bounds.end) {
                    *input = rest;
                    self.any_frame = true;
                    return Ok(frame.get(bounds.payload()));
                }
                Stage::Body(bounds)
            }
            Cut::Head(needed) => Stage::Head(needed),
        };
        if !input.is_empty() {
            self.partial = Some(Box::new(Partial::begin(input, stage, spares)));
            *input = &[];
        }
        Ok(None)
    }

    /// Goes on with the frame that an earlier call could not finish.
    fn decode_partial<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        spares: &mut BufferPool,
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if let Some(done) = self.partial.take_if(|partial| matches!(partial.stage, Stage::Done)) {
            spares.give(done.buffer);
            return self.decode_whole(input, spares);
        }
        let Self { framing, max_frame_bytes, any_frame, partial } = self;
        // Borrowed for as long as the payload is: what follows either returns it or leaves it for the next call.
        let Some(partial) = partial.as_deref_mut() else { return Ok(None) };
        while let Stage::Head(needed) = partial.stage {
            if partial.len < needed && input.is_empty() {
                return Ok(None);
            }
            let seen = partial.len;
            partial.take(
                input,
                head_bytes_wanted(framing, needed - partial.len.min(needed), input),
                usize::MAX,
                spares,
            );
            let found = cut(framing, partial.bytes(), seen, *max_frame_bytes);
            partial.stage = match found.map_err(|error| judged(error, *any_frame))? {
                Cut::Head(needed) => Stage::Head(needed),
                Cut::Frame(bounds) => Stage::Body(bounds),
            };
        }
        let Stage::Body(bounds) = partial.stage else { return Ok(None) };
        partial.take(input, bounds.end - partial.len, bounds.end, spares);
        if partial.len < bounds.end {
            return Ok(None);
        }
        partial.stage = Stage::Done;
        *any_frame = true;
        Ok(partial.buffer.get(bounds.payload()))
    }

    /// Room into which the rest of an unfinished frame may be read directly, saving a copy; empty when there is none. Bytes
    /// put there count once [`filled`](Self::filled) says how many.
    pub fn spare(&mut self) -> &mut [u8] {
        self.spare_with(&mut BufferPool::none())
    }

    /// [`spare`](Self::spare), with a buffer from `spares` where it takes a larger one.
    #[inline]
    pub(crate) fn spare_with(&mut self, spares: &mut BufferPool) -> &mut [u8] {
        let Some(partial) = self.partial.as_deref_mut() else { return &mut [] };
        let Stage::Body(bounds) = partial.stage else { return &mut [] };
        partial.make_room(bounds.end, spares);
        let end = bounds.end.min(partial.buffer.len());
        partial.buffer.get_mut(partial.len..end).unwrap_or_default()
    }

    /// The first `bytes` of [`spare`](Self::spare) were filled, in stream order before anything given to
    /// [`decode`](Self::decode) from now on.
    pub fn filled(&mut self, bytes: usize) {
        if let Some(partial) = self.partial.as_deref_mut()
            && let Stage::Body(bounds) = partial.stage
        {
            partial.len = partial.len.saturating_add(bytes).min(bounds.end).min(partial.buffer.len());
        }
    }

    /// The stream has ended: the last line, if it lacked its line feed, is given out.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let partial = self.partial.as_deref_mut()?;
        if self.framing != Framing::Lines || !matches!(partial.stage, Stage::Head(_)) {
            return None;
        }
        partial.stage = Stage::Done;
        let end = partial.len - usize::from(partial.bytes().last() == Some(&b'\r'));
        partial.buffer.get(..end)
    }

    /// Bytes of an unfinished frame that have arrived; `None` between frames.
    pub fn unfinished_bytes(&self) -> Option<usize> {
        let partial = self.partial.as_deref()?;
        (!matches!(partial.stage, Stage::Done)).then_some(partial.len)
    }

    /// Bytes of memory held for an unfinished frame.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.partial.as_deref().map_or(0, |partial| partial.buffer.len())
    }

    /// What the stream's first bytes are, if they are unfinished and look like no frame.
    pub fn looks_like(&self) -> Option<LooksLike> {
        let partial = self.partial.as_deref()?;
        let prefixed = matches!(self.framing, Framing::Length(_) | Framing::Varint);
        if prefixed && !self.any_frame { sniff::looks_like(partial.bytes()) } else { None }
    }
}

/// A peer that has sent a whole frame knows what this port wants, whatever its later bytes look like.
#[cold]
fn judged(error: FrameError, any_frame: bool) -> FrameError {
    match error {
        FrameError::TooLarge { declared_bytes, max_frame_bytes, .. } if any_frame => {
            FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None }
        }
        other => other,
    }
}

/// How much of `input` to take while a frame's end is unknown: no byte of the next frame.
fn head_bytes_wanted(framing: &Framing, missing: usize, input: &[u8]) -> usize {
    match framing {
        Framing::Lines => memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1),
        Framing::Length(_) | Framing::Varint | Framing::Raw => missing,
    }
}

impl Partial {
    fn begin(bytes: &[u8], stage: Stage, spares: &mut BufferPool) -> Self {
        let mut partial = Self { buffer: Vec::new(), len: 0, stage };
        let most = if let Stage::Body(bounds) = stage { bounds.end } else { usize::MAX };
        partial.append(bytes, most, spares);
        partial
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Moves at most `count` bytes from the front of `input` to the end of the frame.
    fn take(&mut self, input: &mut &[u8], count: usize, most: usize, spares: &mut BufferPool) {
        let (taken, rest) = input.split_at(count.min(input.len()));
        self.append(taken, most, spares);
        *input = rest;
    }

    /// `most`: what the frame will ever hold, so that the last growth is no larger than it must be.
    fn append(&mut self, bytes: &[u8], most: usize, spares: &mut BufferPool) {
        let end = self.len + bytes.len();
        if end > self.buffer.len() {
            self.grow(end, most, spares);
        }
        if let Some(room) = self.buffer.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    /// Room for at least one more byte, unless the frame is whole.
    fn make_room(&mut self, most: usize, spares: &mut BufferPool) {
        if self.len == self.buffer.len() && self.len < most {
            self.grow(self.len + 1, most, spares);
        }
    }

    /// Twice what has been received, so that many small pieces are copied a constant number of times each.
    fn grow(&mut self, needed: usize, most: usize, spares: &mut BufferPool) {
        let size = needed.saturating_mul(2).max(MIN_BUFFER_BYTES).min(most).max(needed);
        // Not by growing the old one: a new one comes zeroed from the system, and what no byte reaches is never touched.
        let mut larger = spares.take(size, most).unwrap_or_else(|| vec![0; size]);
        if let (Some(room), Some(bytes)) = (larger.get_mut(..self.len), self.buffer.get(..self.len)) {
            room.copy_from_slice(bytes);
        }
        spares.give(std::mem::replace(&mut self.buffer, larger));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_counts_as_filled_than_there_was_room_for() {
        let mut decoder = FrameDecoder::new(Framing::U8, 100);
        decoder.filled(60);
        assert_eq!(decoder.decode(&mut &b"\x05he"[..]), Ok(None));
        decoder.spare().copy_from_slice(b"llo");
        decoder.filled(60);
        assert_eq!(decoder.decode(&mut &b""[..]), Ok(Some(&b"hello"[..])));
    }

    /// The search must begin where the last one ended, or a long line in small pieces costs the square of its length.
    #[test]
    fn a_byte_that_was_searched_for_the_lines_end_is_not_searched_again() {
        let mut decoder = FrameDecoder::new(Framing::Lines, 100);
        assert_eq!(decoder.decode(&mut &b"one"[..]), Ok(None));
        assert_eq!(decoder.decode(&mut &b" and"[..]), Ok(None));
        let planted = b"one\nand";
        decoder.partial.as_mut().unwrap().buffer[..planted.len()].copy_from_slice(planted);
        assert_eq!(decoder.decode(&mut &b" two\n"[..]), Ok(Some(&b"one\nand two"[..])));
    }
}
