//! A service wrapper that reports to the test which connections open and close.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use switchboard::{BatchId, CloseReason, ConnId, Context, JobId, JobOutput, Message, Peer, Service, TimerId};

use super::guard;

/// An event that an [`Observer`] reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionEvent {
    Opened(ConnId),
    Closed(ConnId, CloseReason),
}

/// The events that an [`Observer`] reported, in order.
pub(crate) struct ConnectionEvents(Receiver<ConnectionEvent>);

impl ConnectionEvents {
    /// Waits for the next event.
    pub(crate) fn next(&self) -> ConnectionEvent {
        self.0.recv_timeout(guard()).expect("no connection event")
    }

    /// Returns the next connection to open. Panics if the next event is a close.
    pub(crate) fn next_opened(&self) -> ConnId {
        match self.next() {
            ConnectionEvent::Opened(id) => id,
            other @ ConnectionEvent::Closed(..) => panic!("expected a connection to open: {other:?}"),
        }
    }

    /// Returns the next connection to close and the reason. Skips connections that open.
    pub(crate) fn next_closed(&self) -> (ConnId, CloseReason) {
        loop {
            if let ConnectionEvent::Closed(id, reason) = self.next() {
                return (id, reason);
            }
        }
    }

    /// Returns the next connection to close, or `None` if none has closed yet. Does not wait.
    pub(crate) fn try_next_closed(&self) -> Option<(ConnId, CloseReason)> {
        self.0.try_iter().find_map(|event| match event {
            ConnectionEvent::Closed(id, reason) => Some((id, reason)),
            ConnectionEvent::Opened(_) => None,
        })
    }

    /// Calls `action` repeatedly until a connection closes, and returns that connection.
    pub(crate) fn repeat_until_closed(&self, mut action: impl FnMut()) -> (ConnId, CloseReason) {
        let start = Instant::now();
        loop {
            action();
            if let Some(closed) = self.try_next_closed() {
                return closed;
            }
            assert!(start.elapsed() < guard(), "no connection closed in time");
        }
    }

    /// Returns all remaining events. Call it after the engine has ended.
    pub(crate) fn into_remaining(self) -> Vec<ConnectionEvent> {
        self.0.into_iter().collect()
    }
}

/// A wrapper that forwards every callback to `inner` and reports opens and closes.
///
/// A threaded engine shares it between connections, because it has no instances for them.
pub(crate) struct Observer<S> {
    inner: S,
    events: Sender<ConnectionEvent>,
}

/// Wraps a service; returns the wrapper and the events that it will report.
pub(crate) fn observe<S: Service>(inner: S) -> (Observer<S>, ConnectionEvents) {
    let (events, reported) = channel();
    (Observer { inner, events }, ConnectionEvents(reported))
}

impl<S: Service> Service for Observer<S> {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let _ = self.events.send(ConnectionEvent::Opened(cx.conn()));
        self.inner.on_open(cx, peer);
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.inner.on_frame(cx, payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        self.inner.on_datagram(cx, from, payload);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.inner.on_writable(cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        self.inner.on_timer(cx, timer);
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        self.inner.on_job(cx, job, output);
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        self.inner.on_post(cx, message);
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.inner.on_turn_end(cx);
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        self.inner.on_shutdown(cx);
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        self.inner.on_dropped(cx, batch, frames);
    }

    fn peer_name(&self, conn: ConnId) -> Option<String> {
        self.inner.peer_name(conn)
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        let _ = self.events.send(ConnectionEvent::Closed(cx.conn(), reason.clone()));
        self.inner.on_close(cx, reason);
    }
}
