//! What has to be known of a server before it is talked to over a stream.

use std::time::Duration;

use switchboard::Framing;
use switchboard::client::text::{ReplyDecoder, ReplyEnd};

/// The largest answer that is taken, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How a server talks.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::commands::call) struct Manner {
    pub(in crate::cli::commands::call) framing: Framing,
    /// Where an answer ends if there are no frames.
    pub(in crate::cli::commands::call) ends: ReplyEnd,
    /// Whether each connection is for one request.
    pub(in crate::cli::commands::call) one_each: bool,
    /// How long it has to be quiet before a read's answer is taken to be all of it; zero: it is what the read returned.
    pub(in crate::cli::commands::call) quiet: Duration,
}

impl Manner {
    pub(super) fn answers(self) -> ReplyDecoder {
        ReplyDecoder::new(self.framing, self.ends, MAX_ANSWER_BYTES)
    }

    /// Whether a greeting looks like an answer: then it has to be there before anything is asked.
    pub(super) fn tells_nothing_apart(self) -> bool {
        self.ends == ReplyEnd::SingleRead
    }
}
