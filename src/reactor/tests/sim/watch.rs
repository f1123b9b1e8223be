//! A wrapper around a real service: it checks what the loop promises a service, and gives the loop
//! more to do than the service would, such as timers.
//!
//! It records a broken promise instead of panicking, because a panic in a callback is the loop's to
//! handle.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::service::{BatchId, CloseReason, ConnId, Context, JobId, JobOutput, Message, Peer, Service, TimerId};

/// What the services have been told.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Told>>);

#[derive(Default)]
pub(super) struct Told {
    /// Each connection that was opened.
    pub(super) conns: BTreeMap<ConnId, ToldConnection>,
    /// The timers that the wrapper has set and that are not due yet.
    pub(super) timers: BTreeMap<TimerId, ToldTimer>,
    /// Callbacks made, of any kind.
    pub(super) callbacks: u64,
    /// The number of the last message received by each service.
    posts: BTreeMap<usize, u64>,
    pub(super) violation: Option<String>,
}

pub(super) struct ToldConnection {
    pub(super) port: u16,
    /// The reason and the time of the close.
    pub(super) closed: Option<(CloseReason, Instant)>,
}

pub(super) struct ToldTimer {
    pub(super) conn: ConnId,
    pub(super) due: Instant,
}

impl Watch {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }
}

impl Told {
    pub(super) fn of_port(&self, port: u16) -> Option<&ToldConnection> {
        self.conns.values().find(|conn| conn.port == port)
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|conn| conn.closed.is_none())
    }

    fn violated(&mut self, message: String) {
        self.violation.get_or_insert(message);
    }
}

/// A service under watch.
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
    number: usize,
    sets_timers: bool,
    /// Checks the service's own invariants after each callback.
    check: fn(&S),
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, watch: &Watch, number: usize, sets_timers: bool, check: fn(&S)) -> Self {
        Self { inner, watch: watch.clone(), number, sets_timers, check }
    }

    /// Notes a callback about a connection, which has to be open.
    fn called(&self, cx: &Context<'_>, what: &str) {
        let mut told = self.watch.told();
        told.callbacks += 1;
        if cx.conn() != ConnId::NONE && !told.is_open(cx.conn()) {
            told.violated(format!("{what} for {:?}, which is not open", cx.conn()));
        }
    }

    fn set_timer(&self, cx: &mut Context<'_>, after: Duration) {
        let id = cx.set_timer(after);
        let timer = ToldTimer { conn: cx.conn(), due: cx.now() + after };
        self.watch.told().timers.insert(id, timer);
    }

    /// Sets or cancels a timer of the connection in some callbacks.
    fn play_with_timers(&self, cx: &mut Context<'_>) {
        if !self.sets_timers {
            return;
        }
        let callbacks = self.watch.told().callbacks;
        match callbacks % 5 {
            0 => self.set_timer(cx, Duration::from_millis(callbacks * 37 % 3_000)),
            1 => {
                let mut told = self.watch.told();
                let own = told.timers.iter().find(|(_, timer)| timer.conn == cx.conn()).map(|(id, _)| *id);
                if let Some(id) = own {
                    told.timers.remove(&id);
                    cx.cancel_timer(id);
                }
            }
            _ => {}
        }
    }
}

impl<S: Service> Service for Watched<S> {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let Peer::Tcp(addr) = peer else { return };
        let mut told = self.watch.told();
        told.callbacks += 1;
        let known = told.conns.insert(cx.conn(), ToldConnection { port: addr.port(), closed: None });
        if known.is_some() {
            told.violated(format!("the id {:?} is used a second time", cx.conn()));
        }
        drop(told);
        self.inner.on_open(cx, peer);
        self.play_with_timers(cx);
        (self.check)(&self.inner);
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.called(cx, "on_frame");
        self.inner.on_frame(cx, payload);
        self.play_with_timers(cx);
        (self.check)(&self.inner);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        self.called(cx, "on_datagram");
        self.inner.on_datagram(cx, from, payload);
        (self.check)(&self.inner);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.called(cx, "on_writable");
        self.inner.on_writable(cx);
        (self.check)(&self.inner);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        self.called(cx, "on_timer");
        let own = self.watch.told().timers.remove(&timer);
        match own {
            Some(ToldTimer { conn, due }) => {
                if conn != cx.conn() || cx.now() < due {
                    self.watch.told().violated(format!("a timer of {conn:?} fired early, or for {:?}", cx.conn()));
                }
            }
            None => self.inner.on_timer(cx, timer),
        }
        (self.check)(&self.inner);
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        // The connection may have closed since it started the job.
        self.watch.told().callbacks += 1;
        self.inner.on_job(cx, job, output);
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        self.called(cx, "on_post");
        let number = *message.downcast::<u64>().unwrap();
        let mut told = self.watch.told();
        let last = told.posts.insert(self.number, number);
        if last.is_some_and(|last| last >= number) {
            told.violated(format!("post {number} came after {last:?}"));
        }
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.called(cx, "on_turn_end");
        self.inner.on_turn_end(cx);
        (self.check)(&self.inner);
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        self.called(cx, "on_shutdown");
        self.inner.on_shutdown(cx);
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        self.called(cx, "on_dropped");
        self.inner.on_dropped(cx, batch, frames);
        (self.check)(&self.inner);
    }

    fn peer_name(&self, conn: ConnId) -> Option<String> {
        self.inner.peer_name(conn)
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        self.called(cx, "on_close");
        self.inner.on_close(cx, reason);
        let mut told = self.watch.told();
        told.timers.retain(|_, timer| timer.conn != cx.conn());
        let now = cx.now();
        if let Some(conn) = told.conns.get_mut(&cx.conn()) {
            conn.closed = Some((reason.clone(), now));
        }
        drop(told);
        (self.check)(&self.inner);
    }
}
