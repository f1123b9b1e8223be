//! Answers out of what was received: frames by the crate's own decoder, datagrams as they are, and raw bytes by what is expected.
//!
//! Raw bytes have no bounds of their own, and a read's mean nothing. They are cut where the oldest message must end. When they are
//! not that message, they are cut as the message whose identity they open with; and when that is nobody's, the piece is spoiled
//! and ends where another identity begins, or else where the oldest would have.

use super::ledger::{Answer, Ledger};
use super::message::Images;
use crate::error::FrameError;
use crate::frame::{FrameDecoder, Framing, Spares};

/// Cuts what one connection receives.
pub(super) enum Cutter {
    Frames(FrameDecoder),
    /// What belongs to an answer that is not whole.
    Raw(Vec<u8>),
    Datagrams,
}

impl Cutter {
    pub(super) fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        match framing {
            Framing::Raw => Self::Raw(Vec::new()),
            framing => Self::Frames(FrameDecoder::new(framing, max_frame_bytes)),
        }
    }

    /// Has the ledger judge each answer in `input`; `told` hears the verdict and the answer's length.
    #[inline]
    pub(super) fn feed(
        &mut self,
        mut input: &[u8],
        ledger: &mut Ledger,
        images: &Images,
        spares: &mut Spares,
        mut told: impl FnMut(Answer, usize),
    ) -> Result<(), FrameError> {
        match self {
            Self::Frames(decoder) => {
                while let Some(payload) = decoder.decode_with(&mut input, spares)? {
                    told(ledger.answer(payload, images), payload.len());
                }
            }
            Self::Raw(held) if held.is_empty() => {
                cut_raw(&mut input, ledger, images, told);
                held.extend_from_slice(input);
            }
            Self::Raw(held) => {
                held.extend_from_slice(input);
                let mut rest = held.as_slice();
                cut_raw(&mut rest, ledger, images, told);
                let used = held.len() - rest.len();
                held.drain(..used);
            }
            Self::Datagrams => told(ledger.answer(input, images), input.len()),
        }
        Ok(())
    }

    /// The oldest message was given up: what has come of its answer is no beginning of another's.
    pub(super) fn forget_partial(&mut self) {
        if let Self::Raw(held) = self {
            held.clear();
        }
    }
}

/// Takes whole answers off the front of `input`.
fn cut_raw(input: &mut &[u8], ledger: &mut Ledger, images: &Images, mut told: impl FnMut(Answer, usize)) {
    while let Some(end) = raw_end(input, ledger, images) {
        let (piece, rest) = input.split_at(end.min(input.len()));
        told(ledger.answer(piece, images), piece.len());
        *input = rest;
    }
}

/// Where the first answer in `input` ends, if that has arrived.
#[inline]
fn raw_end(input: &[u8], ledger: &Ledger, images: &Images) -> Option<usize> {
    if input.is_empty() {
        return None;
    }
    if let Some(number) = ledger.oldest() {
        let image = images.image(ledger.connection(), number);
        let head = input.len().min(image.head().len());
        let opens_alike = input.get(..head) == image.head().get(..head);
        if opens_alike && (input.len() < image.len() || input.get(..image.len()).is_some_and(|piece| image.is(piece))) {
            return (input.len() >= image.len()).then_some(image.len());
        }
    }
    unexpected_end(input, ledger, images)
}

/// The same when it is not the oldest message's.
#[cold]
fn unexpected_end(input: &[u8], ledger: &Ledger, images: &Images) -> Option<usize> {
    let whole = images.head_bytes();
    let named = |bytes: &[u8]| {
        let (number, _) = images.claim(ledger.connection(), bytes.get(..whole)?)?;
        // Sent at all: not one of those that are yet to come.
        (ledger.next().wrapping_sub(1).wrapping_sub(number) < u32::MAX / 2).then_some(number)
    };
    if let Some(number) = named(input).filter(|number| Some(*number) != ledger.oldest()) {
        let end = images.image(ledger.connection(), number).len();
        return (input.len() >= end).then_some(end);
    }
    let expected = ledger.oldest().map_or(input.len(), |oldest| images.image(ledger.connection(), oldest).len());
    let reach = input.len().min(expected);
    let next = (1..reach).find(|start| input.get(*start..).is_some_and(|bytes| named(bytes).is_some()));
    next.or_else(|| (input.len() >= expected).then_some(expected))
}
