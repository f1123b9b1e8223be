//! Sends everything back in capitals.

use std::net::SocketAddr;

use crate::service::Context;
use crate::service::Service;

/// Answers each payload with itself, the bytes that are small ASCII letters upper-cased. That is right for UTF-8 and for encodings of
/// one byte a character; in GBK, Big5 and `Shift_JIS` such a byte may be the second of a character, which becomes another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper;

impl Service for Upper {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(&payload.to_ascii_uppercase());
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        self.on_frame(cx, payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(*self))
    }
}
