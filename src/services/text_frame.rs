//! The text of a frame, for services that read text.

use std::borrow::Cow;

use crate::frame::{Framing, TextEncoding, telnet};
use crate::service::Context;

/// Returns the text of `payload`. On a `lines` listener the peer may be a telnet client: its
/// commands are not part of the text.
pub(super) fn text_of_frame<'a>(cx: &Context<'_>, payload: &'a [u8], encoding: TextEncoding) -> Cow<'a, [u8]> {
    if cx.framing() == Some(Framing::Lines) {
        telnet::strip_commands(payload, encoding.encoding())
    } else {
        payload.into()
    }
}
