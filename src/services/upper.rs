//! Sends everything back in capitals.

use std::net::SocketAddr;

use crate::context::Context;
use crate::service::Service;

/// Answers each payload with itself, its ASCII letters upper-cased. All other bytes stay as they are, so text in any encoding
/// that leaves ASCII as it is comes back whole.
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
