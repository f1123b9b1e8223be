//! The rules by which a server's replies on a stream are recognised.

use std::time::Duration;

use switchboard::Framing;
use switchboard::client::text::{ReplyDecoder, ReplyEnd};

/// The largest reply that the client accepts, in bytes.
pub(super) const MAX_REPLY_BYTES: usize = 1 << 20;

/// The framing of a server's replies, and their end on a stream without frames.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::commands::call) struct ReplyRules {
    pub(in crate::cli::commands::call) framing: Framing,
    /// The end of a reply on a stream without frames.
    pub(in crate::cli::commands::call) reply_end: ReplyEnd,
    /// True if the server closes after each reply, so that each request needs a new connection.
    pub(in crate::cli::commands::call) closes_after_reply: bool,
    /// Silence after which a reply is complete. Zero: a reply is the bytes of one read.
    pub(in crate::cli::commands::call) end_silence: Duration,
}

impl ReplyRules {
    pub(super) fn decoder(self) -> ReplyDecoder {
        ReplyDecoder::new(self.framing, self.reply_end, MAX_REPLY_BYTES)
    }

    /// Returns true if a greeting looks like a reply. The client then waits for a greeting before
    /// the first request.
    pub(super) fn greeting_looks_like_reply(self) -> bool {
        self.reply_end == ReplyEnd::SingleRead
    }
}
