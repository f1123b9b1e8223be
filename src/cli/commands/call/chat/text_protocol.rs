//! The protocol of a chat server without JSON: a line goes out as it is, and text comes in.

use switchboard::{Framing, TextEncoding};

/// The transport of the lines, and their encoding.
pub(super) struct TextProtocol {
    pub(super) transport: TextTransport,
    pub(super) encoding: TextEncoding,
}

/// The form in which a line is sent.
pub(super) enum TextTransport {
    /// A datagram `name : text`.
    Datagrams { name: String },
    /// A stream: with a line feed under [`Framing::Lines`], as it is under [`Framing::Raw`].
    Stream(Framing),
}
