//! The chat service: the adapter between an engine and the hub.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::colour::Palette;
use super::config::ChatConfig;
use super::dialect::{self, ChatDialect};
use super::hub::{EventTime, Hub, HubOutput};
use crate::frame::Payload;
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{BatchId, ConnId, Peer, Service, ServiceOptions, TimerId};

/// A chat server.
///
/// ```no_run
/// use switchboard::services::chat::{Chat, ChatConfig};
/// use switchboard::{Framing, Limits, Reactor};
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let chat = Chat::new(ChatConfig::default());
/// let chat = reactor.add_service(chat.options("chat"), chat);
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
    /// Returns a server with an empty lobby. Its operator's console has no colours.
    pub fn new(config: ChatConfig) -> Self {
        Self::with_palette(config, Palette::default())
    }

    /// Returns a server whose operator's console colours nicks with `palette`.
    pub fn with_palette(config: ChatConfig, palette: Palette) -> Self {
        Self { hub: Hub::new(config, palette) }
    }

    /// Returns the options of this service: its reply to a rejected connection, its own limit on
    /// the connections of one address, and a limit on the datagrams of one source. The last is
    /// above that of a member, `max_requests_per_second`; if that is zero, there is none.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        let options = ServiceOptions::new(name).rejection(dialect::rejection).limits_addresses();
        options.answers_per_second(self.hub.max_datagrams_per_second())
    }
}

#[cfg(test)]
impl Chat {
    /// Panics unless the invariants of the hub hold.
    pub(crate) fn check(&self) {
        self.hub.check();
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chat(..)")
    }
}

impl Service for Chat {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let conn = cx.conn();
        let dialect = cx.framing().map_or(ChatDialect::Json, ChatDialect::of);
        match peer {
            Peer::Console => self.hub.on_console_open(conn),
            Peer::Tcp(addr) => self.hub.on_open(conn, dialect, Some(*addr), cx.now(), cx),
            Peer::Unix => self.hub.on_open(conn, dialect, None, cx.now(), cx),
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let time = event_time(cx);
        self.hub.on_frame(cx.conn(), payload, time, cx);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        let time = event_time(cx);
        self.hub.on_datagram(from, payload, time, cx);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.hub.on_writable(cx.conn(), cx);
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        self.hub.on_dropped(cx.conn(), batch, frames, cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        self.hub.on_timer(cx.now(), cx);
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.hub.on_turn_end(cx);
    }

    fn peer_name(&self, conn: ConnId) -> Option<String> {
        self.hub.nick_of(conn)
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        self.hub.on_close(cx.conn(), reason, cx);
    }
}

fn event_time(cx: &Context<'_>) -> EventTime {
    EventTime { now: cx.now(), wall: cx.wall_clock() }
}

impl HubOutput for Context<'_> {
    fn send(&mut self, to: ConnId, payload: Payload) {
        if to == self.conn() { self.reply(&payload) } else { Context::send(self, to, payload) }
    }

    fn send_batch(&mut self, to: &[ConnId], payloads: &[Payload], batch: BatchId) {
        self.broadcast_batch(to, payloads, batch);
    }

    fn send_datagram(&mut self, to: SocketAddr, payload: Payload) {
        self.datagram(to, payload);
    }

    fn close(&mut self, conn: ConnId, reason: Cow<'static, str>) {
        self.close_other(conn, reason);
    }

    fn notify_turn_end(&mut self) {
        Context::notify_turn_end(self);
    }

    fn notify_writable(&mut self) {
        Context::notify_writable(self);
    }

    fn set_timer(&mut self, after: Duration) {
        Context::set_timer(self, after);
    }

    fn warn(&mut self, cause: &'static str, line: fmt::Arguments<'_>) {
        Context::warn(self, cause, line);
    }

    fn drain(&mut self) {
        Context::drain(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_on_datagrams_is_above_that_of_a_member() {
        for (max_requests_per_second, max_burst_requests, expected) in
            [(20, 40, 1000), (0, 40, 0), (5000, 40, 5000), (20, 3000, 3000)]
        {
            let config = ChatConfig { max_requests_per_second, max_burst_requests, ..ChatConfig::default() };
            assert_eq!(Chat::new(config).options("chat").answers_per_second, expected);
        }
    }
}
