//! The error of text that is not UTF-8, the same in JSON and in lines.

use crate::services::chat::request::ErrorReply;

/// Returns the reply to text that is not valid UTF-8 from byte `at` on.
pub(super) fn invalid_utf8(at: usize) -> ErrorReply {
    ErrorReply::new("bad-utf8", format!("the text is not valid UTF-8 from byte {at} on"))
}
