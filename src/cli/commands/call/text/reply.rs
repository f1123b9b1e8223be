//! The reply to one text request.

use switchboard::TextEncoding;

/// Received bytes, decoded.
#[derive(Debug)]
pub(in crate::cli::commands::call) struct DecodedText {
    pub(in crate::cli::commands::call) text: String,
    /// False if the bytes were invalid in the encoding; `text` then has replacement characters.
    pub(in crate::cli::commands::call) is_valid: bool,
}

impl DecodedText {
    pub(in crate::cli::commands::call) fn decode(bytes: &[u8], encoding: TextEncoding) -> Self {
        match encoding.decode(bytes) {
            Some(text) => Self { text: text.into_owned(), is_valid: true },
            None => Self { text: encoding.decode_lossy(bytes).into_owned(), is_valid: false },
        }
    }
}

/// The result of one request.
#[derive(Debug)]
pub(in crate::cli::commands::call) enum TextReply {
    Text(DecodedText),
    /// The request was not sent or not replied to, for this reason. The next request may succeed.
    Missing(String),
    /// The server closed the connection without a reply.
    Closed,
}
