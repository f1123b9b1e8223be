//! The output of the hub. An engine's context implements it, and so does the output of the tests.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::frame::Payload;
use crate::service::{BatchId, ConnId};

/// The actions that the hub asks of an engine.
pub(crate) trait HubOutput {
    /// Sends a payload to one connection.
    fn send(&mut self, to: ConnId, payload: Payload);

    /// Sends the same payloads to several connections.
    fn send_batch(&mut self, to: &[ConnId], payloads: &[Payload], batch: BatchId);

    /// Sends a datagram.
    fn send_datagram(&mut self, to: SocketAddr, payload: Payload);

    /// Closes a connection after its queued output has been written.
    fn close(&mut self, conn: ConnId, reason: Cow<'static, str>);

    /// Requests [`Hub::on_turn_end`](super::Hub::on_turn_end) at the end of the turn.
    fn notify_turn_end(&mut self);

    /// Requests [`Hub::on_writable`](super::Hub::on_writable) when the current connection's queue
    /// is below its low water mark.
    fn notify_writable(&mut self);

    /// Requests [`Hub::on_timer`](super::Hub::on_timer) after this time.
    fn set_timer(&mut self, after: Duration);

    /// Logs a warning about a peer. Each `cause` has a rate limit of its own.
    fn warn(&mut self, cause: &'static str, line: fmt::Arguments<'_>);

    /// Starts the server's graceful stop.
    fn drain(&mut self);
}

/// The time of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTime {
    /// The monotonic clock, for timeouts and rate limits.
    pub(crate) now: Instant,
    /// The time of day, for messages.
    pub(crate) wall: SystemTime,
}
