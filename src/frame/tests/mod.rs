//! Tests of framing through its public functions.

mod bounds;
mod hints;
mod inverse;
mod oracle;
mod property;
mod splits;

use super::{FrameDecoder, Framing};
use crate::frame::FrameError;

/// The mode in which bytes reach a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedMode {
    /// All of them through `decode`.
    Copied,
    /// First through `spare` and `filled`, the rest through `decode`, as a connection does.
    Direct,
}

const FEED_MODES: [FeedMode; 2] = [FeedMode::Copied, FeedMode::Direct];

/// A decoder and its output so far.
struct TestDecoder {
    decoder: FrameDecoder,
    payloads: Vec<Vec<u8>>,
    error: Option<FrameError>,
}

impl TestDecoder {
    fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        Self { decoder: FrameDecoder::new(framing, max_frame_bytes), payloads: Vec::new(), error: None }
    }

    /// Feeds one piece, as one read of a connection does, and checks the bound on held memory.
    fn feed(&mut self, mut piece: &[u8], mode: FeedMode) {
        if self.error.is_some() {
            return;
        }
        if mode == FeedMode::Direct {
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
        assert!(piece.is_empty(), "decode returned None with {} bytes left", piece.len());
        let held = self.decoder.held_bytes();
        match self.decoder.unfinished_bytes() {
            None => assert_eq!(held, 0, "memory held between frames"),
            Some(received) => assert!(held <= 2 * received + 64, "{held} bytes held for {received} received"),
        }
    }

    fn feed_all(&mut self, pieces: &[&[u8]], mode: FeedMode) {
        for piece in pieces {
            self.feed(piece, mode);
        }
    }
}

fn framing(name: &str) -> Framing {
    name.parse().unwrap()
}
