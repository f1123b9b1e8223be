//! The state of one engine thread, used by its connections one after another.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::Level;

use super::state::Connection;
use super::stream::Stream;
use super::write_queue::DroppedBatch;
use crate::engine::budget::{Budget, START_STRIDE};
use crate::engine::datagram_limit::DatagramLimit;
use crate::engine::lag::Work;
use crate::engine::limits::{ACCEPT_PAUSE, Limits};
use crate::engine::stats::Stats;
use crate::frame::{BufferPool, EncodeError, Framing};
use crate::service::context::{Context, PendingActions, ReplyTo, TurnTime};
use crate::service::panics::ServicePanic;
use crate::service::reply_buffer::{ReplyBuffer, ReplySource};
use crate::service::warning_limit::LineCause;
use crate::service::{CloseReason, ConnId, OutputBacklog, PanicPolicy, Peer};

/// The limits, clock, counters and scratch buffers of one engine thread.
///
/// The engine empties `replies`, `pending_actions` and `dropped` before another connection uses the
/// context.
pub(crate) struct WorkerContext {
    pub(crate) limits: Limits,
    pub(crate) clock: TurnTime,
    /// Replies of the current step that are not written yet.
    pub(crate) replies: ReplyBuffer,
    pub(crate) buffer_pool: BufferPool,
    /// Actions that the last callback asked for.
    pub(crate) pending_actions: PendingActions,
    pub(crate) stats: Stats,
    /// The share of the connection or socket whose step is under way.
    pub(crate) budget: Budget,
    /// Batches dropped from the current connection's queue, to be reported to its service.
    pub(crate) dropped: Vec<DroppedBatch>,
    /// True if a reply may be written straight from a request that the decoder has assembled. The
    /// write then comes before the next frame is decoded. False where frames are dispatched under a
    /// lock, because nothing is written under a lock.
    pub(crate) may_borrow_request: bool,
}

impl WorkerContext {
    pub(crate) fn new(
        limits: Limits,
        clock: TurnTime,
        pending_actions: PendingActions,
        buffer_pool: BufferPool,
    ) -> Self {
        let (replies, stats, dropped) = (ReplyBuffer::default(), Stats::default(), Vec::new());
        let mut budget = Budget::new(limits.turn_budget);
        budget.begin(START_STRIDE);
        Self { limits, clock, replies, buffer_pool, pending_actions, stats, budget, dropped, may_borrow_request: true }
    }

    /// Logs a warning about a peer of `service`, within the rate limit of its cause.
    pub(crate) fn warn(&self, service: &str, cause: &'static str, line: fmt::Arguments<'_>) {
        self.log(LineCause { level: Level::Warn, service, event: "warnings", cause }, line);
    }

    fn log(&self, of: LineCause<'_>, line: fmt::Arguments<'_>) {
        self.pending_actions.warnings.log(self.clock.timestamp, of, line);
    }

    /// Logs that accepting pauses after `error`. A retry that fails is logged at debug level only.
    pub(crate) fn warn_of_accept_pause(&self, service: &str, error: &io::Error, is_retry: bool) {
        let level = if is_retry { Level::Debug } else { Level::Warn };
        let of = LineCause { level, service, event: "pauses", cause: "accept failed" };
        let pause = ACCEPT_PAUSE;
        self.log(
            of,
            format_args!(
                "accept failed: {error}; {service} pauses accepting for {pause:?} or until a connection closes"
            ),
        );
    }

    /// Logs that a framing could not carry a payload for other connections, if that happened.
    pub(crate) fn warn_of_unsent(&self, failure: Option<(Framing, EncodeError)>) {
        if let Some((framing, error)) = failure {
            self.warn(
                "",
                "message not sent",
                format_args!("message not sent to connections with framing {framing}: {error}"),
            );
        }
    }

    /// Counts and logs a pending connection of `service` that is rejected.
    pub(crate) fn note_rejection(&mut self, service: &str, peer: &Peer, reason: &CloseReason) {
        self.stats.refused += 1;
        self.stats.refusals.add(reason.cause(), 1);
        let of = LineCause { level: Level::Warn, service, event: "connections rejected", cause: reason.cause() };
        self.log(of, format_args!("{service} {peer} rejected: {reason}"));
    }

    /// Returns true if a datagram may be passed to its service. If its source exceeds `limit`, it
    /// is counted and logged. If it claims to be of a socket of this server, its address is forged:
    /// the reply would come back and be replied to without end.
    pub(crate) fn admit_datagram(
        &mut self,
        service: &str,
        from: SocketAddr,
        is_own_address: bool,
        limit: Option<&mut DatagramLimit>,
    ) -> bool {
        if is_own_address {
            self.stats.datagrams_dropped += 1;
            let reason = "its sender address is forged: it is a socket of this server";
            self.warn(service, "forged datagram", format_args!("{service} {from} datagram dropped: {reason}"));
            return false;
        }
        let Some(limit) = limit else { return true };
        let is_admitted = limit.try_take(from, self.clock.now);
        if !is_admitted {
            self.stats.datagrams_limited += 1;
            let rate = limit.per_second();
            self.warn(
                service,
                "datagrams over the rate",
                format_args!("{service} {from} datagram not answered: more than {rate} in a second"),
            );
        }
        is_admitted
    }

    /// Logs that a datagram of `service` was not sent, because its socket is full or missing.
    pub(crate) fn warn_of_lost_datagram(&self, service: &str, to: SocketAddr) {
        self.warn(
            service,
            "datagrams not sent",
            format_args!("{service} udp:{to} datagram dropped: the socket cannot take it now"),
        );
    }

    /// Counts a panic of `service` in a callback about `peer` or in its job, and logs it. The rate
    /// limit of warnings does not apply: a service that panics repeatedly is stopped.
    #[cold]
    pub(crate) fn note_panic(&mut self, service: &str, peer: Option<&Peer>, panic: &ServicePanic) {
        self.stats.panics += 1;
        let ServicePanic { origin, report, closes, .. } = panic;
        let closed = if *closes { " closed:" } else { "" };
        match peer {
            Some(peer) => log::error!("{service} {peer}{closed} panic in {origin}: {report}"),
            None => log::error!("{service} panic in {origin}: {report}"),
        }
    }

    /// Counts a service that is stopped, and logs it.
    #[cold]
    pub(crate) fn note_service_stop(&mut self, service: &str) {
        self.stats.services_stopped += 1;
        let (panics, window) = (PanicPolicy::MAX_PANICS, PanicPolicy::WINDOW);
        log::error!(
            "{service} stopped: {panics} panics within {window:?}. Its listeners and connections are closed; start the \
             server again to serve it"
        );
    }

    /// Logs the close of a connection of `service` for the fault of its peer. A panic and the stop
    /// of a service are logged already. `name` is the name that the service knows the peer by.
    pub(crate) fn warn_of_close(&self, service: &str, peer: &Peer, name: Option<&str>, reason: &CloseReason) {
        if matches!(reason, CloseReason::ServicePanicked | CloseReason::ServiceStopped) {
            return;
        }
        let of = LineCause { level: Level::Warn, service, event: "connections closed", cause: reason.cause() };
        match name.map(str::escape_debug) {
            None => self.log(of, format_args!("{service} {peer} closed: {reason}")),
            Some(name) => self.log(of, format_args!("{service} {peer} ({name}) closed: {reason}")),
        }
    }

    /// Logs that frames for a peer of `service` are dropped. `name` is as in
    /// [`warn_of_close`](Self::warn_of_close).
    pub(crate) fn warn_of_drop(&self, service: &str, peer: &Peer, name: Option<&str>, backlog: OutputBacklog) {
        let name = name.map_or_else(String::new, |name| format!(" ({})", name.escape_debug()));
        self.warn(service, "frames dropped", format_args!("{service} {peer}{name} frames dropped: {backlog}"));
    }

    /// Logs a turn that took longer than `max_turn`, with the work that took most of it and the
    /// time of that work.
    pub(crate) fn warn_of_long_turn(
        &self,
        service: &str,
        work: Work,
        peer: Option<&Peer>,
        (took, share): (Duration, Duration),
    ) {
        if self.limits.max_turn.is_zero() || took <= self.limits.max_turn {
            return;
        }
        let for_peer = peer.map_or_else(String::new, |peer| format!(" for {peer}"));
        let name = if service.is_empty() { "the loop" } else { service };
        let (took, share) = (took.as_millis(), share.min(took).as_millis());
        self.warn(
            service,
            "long turn",
            format_args!("a turn took {took}ms, {share}ms of it in {name} ({work}){for_peer}"),
        );
    }

    /// Returns the context for a callback that is not about a frame. Replies are discarded if the
    /// connection has gone or takes no more output.
    pub(crate) fn callback_context<S: Stream>(&mut self, id: ConnId, conn: Option<&Connection<S>>) -> Context<'_> {
        match conn.filter(|conn| conn.accepts_output()) {
            Some(conn) => self.service_context(id, conn.framing(), ReplySource::NONE, conn.pending_bytes()),
            None => {
                Context { conn: id, clock: self.clock, reply_to: ReplyTo::None, pending: &mut self.pending_actions }
            }
        }
    }

    /// Returns the context for a callback about a connection. Replies may borrow from `source`.
    /// `pending_bytes` is the number of bytes in the connection's write queue now.
    #[inline]
    pub(crate) fn service_context<'a>(
        &'a mut self,
        conn: ConnId,
        framing: Framing,
        source: ReplySource<'a>,
        pending_bytes: usize,
    ) -> Context<'a> {
        let reply_to = ReplyTo::Connection { replies: &mut self.replies, framing, source, pending_bytes };
        Context { conn, clock: self.clock, reply_to, pending: &mut self.pending_actions }
    }
}
