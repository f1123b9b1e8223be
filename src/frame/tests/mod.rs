//! What users of framing rely on, from outside of the decoder.

mod bounds;
mod hints;
mod inverse;
mod oracle;
mod property;
mod splits;

use super::{FrameDecoder, Framing};
use crate::frame::FrameError;

/// How bytes reach a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All of them through `decode`.
    Copied,
    /// As much as there is room for through `spare` and `filled`, as a connection does it.
    Direct,
}

const WAYS: [Way; 2] = [Way::Copied, Way::Direct];

/// A decoder with all that it has given so far.
struct Reader {
    decoder: FrameDecoder,
    payloads: Vec<Vec<u8>>,
    error: Option<FrameError>,
}

impl Reader {
    fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        Self { decoder: FrameDecoder::new(framing, max_frame_bytes), payloads: Vec::new(), error: None }
    }

    /// Feeds one piece, as one read of a connection would, and holds the decoder to its promises about memory.
    fn feed(&mut self, mut piece: &[u8], way: Way) {
        if self.error.is_some() {
            return;
        }
        if way == Way::Direct {
            let spare = self.decoder.spare();
            let direct = spare.len().min(piece.len());
            spare[..direct].copy_from_slice(&piece[..direct]);
            self.decoder.filled(direct);
            piece = &piece[direct..];
        }
        loop {
            match self.decoder.decode(&mut piece) {
                Ok(Some(payload)) => self.payloads.push(payload.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
        }
        assert!(piece.is_empty(), "None was said with {} bytes left", piece.len());
        let held = self.decoder.held_bytes();
        match self.decoder.unfinished_bytes() {
            None => assert_eq!(held, 0, "memory is held between frames"),
            Some(received) => assert!(held <= 2 * received + 64, "{held} bytes are held for {received} received"),
        }
    }

    fn feed_all(&mut self, pieces: &[&[u8]], way: Way) {
        for piece in pieces {
            self.feed(piece, way);
        }
    }
}

fn framing(name: &str) -> Framing {
    name.parse().unwrap()
}
