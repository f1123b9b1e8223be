//! The frames of the tests over scripted sockets.

use crate::frame::{FrameDecoder, Framing, encode};

/// The framing of the tests' frames.
pub(crate) const FRAMING: Framing = Framing::U16BE;

/// Returns `payloads` as frames, one after the other.
pub(crate) fn framed<P: AsRef<[u8]>>(payloads: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut bytes = Vec::new();
    payloads.into_iter().for_each(|payload| encode(FRAMING, payload.as_ref(), &mut bytes).unwrap());
    bytes
}

/// Returns the whole frames in `bytes`, and the number of bytes of an unfinished one after them.
pub(crate) fn decode_frames(bytes: &[u8]) -> (Vec<String>, usize) {
    let mut decoder = FrameDecoder::new(FRAMING, usize::MAX);
    let mut input = bytes;
    let mut payloads = Vec::new();
    while let Some(payload) = decoder.decode(&mut input).unwrap() {
        payloads.push(String::from_utf8_lossy(payload).into_owned());
    }
    (payloads, decoder.unfinished_bytes().unwrap_or(0))
}
