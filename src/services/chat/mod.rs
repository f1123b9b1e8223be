//! The chat server: one hub, several dialects, the same rooms.
//!
//! [`Chat`] is the service. It takes what an engine reports to the hub and the hub's words to the engine, and decides nothing.
//! `dialect` turns bytes into requests and events into bytes, `hub` is all there is to know about members and rooms, [`wire`] what
//! programs that speak JSON send and are sent.
//!
//! How a connection speaks is decided by its framing: any length prefix is JSON, `lines` and `raw` are text.

mod ask;
mod bucket;
pub mod colour;
pub mod console;
mod dialect;
mod hub;
mod names;
mod rules;
pub mod wire;

pub use rules::Rules;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::frame::Payload;
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{BatchId, ConnId, Peer, RejectionReply, Service, TimerId};

use colour::Palette;
use dialect::Dialect;
use hub::{Hub, Outlet, When};

/// A chat server.
///
/// ```no_run
/// use switchboard::services::chat::{Chat, Rules};
/// use switchboard::{Framing, Limits, Reactor};
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let chat = reactor.add_service("chat", Chat::new(Rules::default()));
/// reactor.listen(chat, &"127.0.0.1:8000".parse()?, Framing::U32BE)?;
/// reactor.listen(chat, &"127.0.0.1:8001".parse()?, Framing::Lines)?;
/// reactor.listen(chat, &"udp:127.0.0.1:8003".parse()?, Framing::Raw)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chat {
    hub: Hub,
}

impl Chat {
    /// A server with a lobby and nobody in it.
    pub fn new(rules: Rules) -> Self {
        Self::with_palette(rules, Palette::default())
    }

    /// A server whose operator sees names in these colours.
    pub fn with_palette(rules: Rules, palette: Palette) -> Self {
        Self { hub: Hub::new(rules, palette) }
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chat(..)")
    }
}

impl Service for Chat {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let (conn, framing) = (cx.conn(), cx.framing());
        match peer {
            Peer::Console => self.hub.open_console(conn),
            Peer::Tcp(addr) => self.hub.open(conn, framing.map_or(Dialect::Json, Dialect::of), Some(addr.ip()), cx),
            Peer::Unix => self.hub.open(conn, framing.map_or(Dialect::Json, Dialect::of), None, cx),
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let when = when(cx);
        self.hub.hear(cx.conn(), payload, when, cx);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        let when = when(cx);
        self.hub.hear_datagram(from, payload, when, cx);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.hub.drained(cx.conn(), cx);
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, ticket: BatchId, frames: u32) {
        self.hub.dropped(cx.conn(), ticket, frames, cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        self.hub.expire(cx.now(), cx);
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.hub.flush(cx);
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        self.hub.close(cx.conn(), reason, cx);
    }

    fn rejection(&self) -> Option<RejectionReply> {
        Some(dialect::rejection)
    }
}

fn when(cx: &Context<'_>) -> When {
    When { now: cx.now(), wall: cx.wall_clock() }
}

impl Outlet for Context<'_> {
    fn send(&mut self, to: ConnId, payload: Payload) {
        if to == self.conn() { self.reply(&payload) } else { Context::send(self, to, payload) }
    }

    fn batch(&mut self, to: &[ConnId], payloads: &[Payload], ticket: BatchId) {
        self.broadcast_batch(to, payloads, ticket);
    }

    fn datagram(&mut self, to: SocketAddr, payload: Payload) {
        Context::datagram(self, to, payload);
    }

    fn close(&mut self, conn: ConnId, words: Cow<'static, str>) {
        self.close_other(conn, words);
    }

    fn flush_later(&mut self) {
        self.notify_turn_end();
    }

    fn watch_drain(&mut self) {
        self.notify_writable();
    }

    fn expire_after(&mut self, after: Duration) {
        self.set_timer(after);
    }

    fn shutdown(&mut self) {
        Context::shutdown(self);
    }
}
