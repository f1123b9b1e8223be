//! The result of one piece of work.

use super::wire::FilesError;
use crate::frame::Payload;

/// The result of one piece of work.
pub(super) enum Outcome {
    /// No output yet; more work follows.
    Continue,
    /// Output to send; more work follows.
    Piece(Payload),
    /// The end, with the last output if any.
    Last(Option<Payload>),
    /// The request is rejected; no output was sent.
    Rejected(FilesError),
    /// The work failed after part of the output was sent.
    Failed(String),
}
