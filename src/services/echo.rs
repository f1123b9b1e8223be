//! Sends everything back.

use std::net::SocketAddr;

use crate::context::Context;
use crate::service::Service;

/// Answers each payload with itself, framed the same way; each datagram goes back to its sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Service for Echo {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        cx.reply(payload);
    }
}
