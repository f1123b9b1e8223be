//! A service that tells the test what happens to its connections.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use switchboard::{BatchId, CloseReason, ConnId, Context, JobId, JobOutput, Message, Peer, Service, TimerId};

use super::GUARD;

/// What a [`Witness`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Opened(ConnId),
    Closed(ConnId, CloseReason),
}

/// What it saw so far, in order.
pub(crate) struct Events(Receiver<Event>);

impl Events {
    pub(crate) fn next(&self) -> Event {
        self.0.recv_timeout(GUARD).expect("something happens to a connection")
    }

    /// The connection opened next; panics if one closes first.
    pub(crate) fn opened(&self) -> ConnId {
        match self.next() {
            Event::Opened(id) => id,
            other @ Event::Closed(..) => panic!("a connection should have opened: {other:?}"),
        }
    }

    /// The next connection to close, whatever opens meanwhile.
    pub(crate) fn closed(&self) -> (ConnId, CloseReason) {
        loop {
            if let Event::Closed(id, reason) = self.next() {
                return (id, reason);
            }
        }
    }

    /// The next connection to close, if one has by now.
    pub(crate) fn try_closed(&self) -> Option<(ConnId, CloseReason)> {
        self.0.try_iter().find_map(|event| match event {
            Event::Closed(id, reason) => Some((id, reason)),
            Event::Opened(_) => None,
        })
    }

    /// The next connection to close, with something done again and again until one does.
    pub(crate) fn closed_while(&self, mut doing: impl FnMut()) -> (ConnId, CloseReason) {
        let begun = Instant::now();
        loop {
            doing();
            if let Some(closed) = self.try_closed() {
                return closed;
            }
            assert!(begun.elapsed() < GUARD, "no connection has closed");
        }
    }

    /// All that is left, after the engine has ended.
    pub(crate) fn rest(self) -> Vec<Event> {
        self.0.into_iter().collect()
    }
}

/// Passes everything on to another service, and tells the test of beginnings and ends.
pub(crate) struct Witness<S> {
    inner: S,
    events: Sender<Event>,
}

pub(crate) fn witness<S: Service>(inner: S) -> (Witness<S>, Events) {
    let (events, seen) = channel();
    (Witness { inner, events }, Events(seen))
}

impl<S: Service> Service for Witness<S> {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let _ = self.events.send(Event::Opened(cx.conn()));
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

    fn on_dropped(&mut self, cx: &mut Context<'_>, ticket: BatchId, frames: u32) {
        self.inner.on_dropped(cx, ticket, frames);
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        let _ = self.events.send(Event::Closed(cx.conn(), reason.clone()));
        self.inner.on_close(cx, reason);
    }
}
