//! What the hub does to the world. It knows no engine: an engine's context is one of these, and so is a test's notebook.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::frame::Payload;
use crate::service::{BatchId, ConnId};

/// Where the hub's words go.
pub(in crate::services::chat) trait Outlet {
    /// Says something to one connection.
    fn send(&mut self, to: ConnId, payload: Payload);

    /// Says the same things to many.
    fn batch(&mut self, to: &[ConnId], payloads: &[Payload], ticket: BatchId);

    /// Sends a datagram.
    fn datagram(&mut self, to: SocketAddr, payload: Payload);

    /// Ends a connection once it has what was said to it.
    fn close(&mut self, conn: ConnId, words: Cow<'static, str>);

    /// Asks for [`Hub::flush`](super::Hub::flush) at the end of the turn.
    fn flush_later(&mut self);

    /// Asks for [`Hub::drained`](super::Hub::drained) when the current connection has room for more.
    fn watch_drain(&mut self);

    /// Asks for [`Hub::expire`](super::Hub::expire) after a time.
    fn expire_after(&mut self, after: Duration);

    /// Stops the server in good order.
    fn shutdown(&mut self);
}

/// The time at which something is heard: for measuring, and of the day.
#[derive(Clone, Copy, Debug)]
pub(in crate::services::chat) struct When {
    pub(in crate::services::chat) now: Instant,
    pub(in crate::services::chat) wall: SystemTime,
}
