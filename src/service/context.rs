//! The interface of a callback to its engine.
//!
//! A reply goes into the reply buffer of the calling connection. Everything else is an action: it
//! is recorded here and applied by the engine after the callback has returned. Invariant: no
//! callback runs inside another.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use log::Level;
use smallvec::{SmallVec, smallvec};

use super::close_reason::CloseReason;
use super::ids::{ConnId, JobId, TimerId};
use super::panics::ServicePanic;
use super::reply_buffer::{ReplyBuffer, ReplySource};
use super::time::Timestamp;
use super::warning_limit::{LineCause, WarningLimit};
use crate::frame::{BatchId, EncodeError, Framing, Payload, encode};
use crate::net::udp_batch::SendBatch;

/// The interface to the engine during one callback.
pub struct Context<'a> {
    pub(crate) conn: ConnId,
    pub(crate) clock: TurnTime,
    pub(crate) reply_to: ReplyTo<'a>,
    pub(crate) pending: &'a mut PendingActions,
}

/// The time of the current turn, read once.
#[derive(Clone, Copy)]
pub(crate) struct TurnTime {
    pub(crate) now: Instant,
    pub(crate) timestamp: Timestamp,
}

/// The destination of a callback's replies.
pub(crate) enum ReplyTo<'a> {
    /// The connection that the callback is for.
    Connection {
        replies: &'a mut ReplyBuffer,
        framing: Framing,
        /// The received bytes, from which a large reply is sent without a copy.
        source: ReplySource<'a>,
        /// Bytes in the connection's write queue at the start of the callback.
        pending_bytes: usize,
    },
    /// The sender of a datagram.
    Datagram { batch: &'a mut SendBatch, from: SocketAddr },
    /// No destination: the callback is not for a connection, or the connection has closed. Replies
    /// are discarded.
    None,
}

/// Actions that callbacks have requested and the engine has not applied yet.
pub(crate) struct PendingActions {
    pub(crate) actions: Vec<Action>,
    /// The service requested `on_turn_end`.
    pub(crate) turn_end_requested: bool,
    next_number: u64,
    /// The source of numbers that several threads share; `None` if there is one thread.
    numbers: Option<Arc<AtomicU64>>,
    /// The engine's rate limit of warnings.
    pub(crate) warnings: Arc<WarningLimit>,
}

/// Numbers that a thread reserves with one access to the shared counter.
const NUMBERS_PER_BLOCK: u64 = 1024;

impl Default for PendingActions {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
            turn_end_requested: false,
            next_number: 0,
            numbers: None,
            warnings: Arc::new(WarningLimit::new(None)),
        }
    }
}

impl PendingActions {
    /// Returns the actions of one of several threads. The shared counter `numbers` keeps the ids of
    /// timers and jobs unique.
    pub(crate) fn shared(numbers: &Arc<AtomicU64>, warnings: &Arc<WarningLimit>) -> Self {
        Self { numbers: Some(Arc::clone(numbers)), warnings: Arc::clone(warnings), ..Self::default() }
    }

    /// Returns the highest number given to a timer or job so far.
    pub(crate) fn newest_number(&self) -> u64 {
        self.next_number
    }

    fn next_number(&mut self) -> u64 {
        if let Some(numbers) = &self.numbers
            && self.next_number.is_multiple_of(NUMBERS_PER_BLOCK)
        {
            self.next_number = numbers.fetch_add(NUMBERS_PER_BLOCK, Ordering::Relaxed);
        }
        self.next_number += 1;
        self.next_number
    }
}

/// One action to apply after a callback.
pub(crate) enum Action {
    /// An encoded frame for the connection that the callback is for.
    Reply(Vec<u8>),
    /// Payloads to send, in order, to each of these connections. Usually one payload, often one
    /// connection: these need no allocation.
    Send(SmallVec<[ConnId; 2]>, SmallVec<[Payload; 1]>, BatchId),
    Datagram(SocketAddr, Payload),
    Close(ConnId, CloseReason),
    SetTimer(TimerId),
    CancelTimer(TimerId),
    Hold(ConnId, usize),
    /// A job, and the bytes that it holds.
    Offload(JobId, usize, JobFn),
    RequestStats(JobId),
    NotifyWritable,
    Drain,
    /// The callback or its job has panicked.
    Panicked(Box<ServicePanic>),
}

/// A job: work that may block.
pub(crate) type JobFn = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?})", self.conn)
    }
}

impl Context<'_> {
    /// Returns the connection that this callback is for; [`ConnId::NONE`] if it is not for a
    /// connection.
    #[inline]
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Returns the time of the current turn. All callbacks of a turn see the same time.
    #[inline]
    pub fn now(&self) -> Instant {
        self.clock.now
    }

    /// Returns the time of day, read on each call. Use it for display and for records only: unlike
    /// [`now`](Self::now), it jumps forwards or back when the clock is set.
    pub fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Returns the framing of the connection that this callback is for; `None` for a datagram, or
    /// if the connection has closed.
    pub fn framing(&self) -> Option<Framing> {
        match &self.reply_to {
            ReplyTo::Connection { framing, .. } => Some(*framing),
            ReplyTo::Datagram { .. } | ReplyTo::None => None,
        }
    }

    /// Sends `payload` to the peer that this callback is for, in the connection's framing. If the
    /// framing cannot carry it, the connection is closed: a missing reply would make the client
    /// match every later reply to the wrong request. See [`try_reply`](Self::try_reply).
    ///
    /// A large reply that is a part of the received payload is sent without a copy. If the callback
    /// is not for a connection or datagram, the reply is discarded. A datagram that is too long is
    /// dropped and counted.
    #[inline]
    pub fn reply(&mut self, payload: &[u8]) {
        if let Err(error) = self.try_reply(payload)
            && let ReplyTo::Connection { replies, .. } = &mut self.reply_to
        {
            replies.fail(error);
        }
    }

    /// Sends `payload` as [`reply`](Self::reply) does, but returns an error instead of closing the
    /// connection.
    ///
    /// # Errors
    /// [`EncodeError`] if the connection's framing cannot carry `payload`. No byte was sent.
    #[inline]
    pub fn try_reply(&mut self, payload: &[u8]) -> Result<(), EncodeError> {
        match &mut self.reply_to {
            // Output stays in the order of the calls: this reply comes after the actions recorded
            // before it.
            ReplyTo::Connection { framing, .. } if !self.pending.actions.is_empty() => {
                let mut frame = Vec::new();
                encode(*framing, payload, &mut frame)?;
                self.pending.actions.push(Action::Reply(frame));
                Ok(())
            }
            ReplyTo::Connection { replies, framing, source, .. } => replies.reply(*framing, payload, *source),
            ReplyTo::Datagram { batch, from } => batch.push(*from, payload),
            ReplyTo::None => Ok(()),
        }
    }

    /// Returns the number of bytes queued for the peer that this callback is for, this callback's
    /// replies included.
    pub fn pending_bytes(&self) -> usize {
        match &self.reply_to {
            ReplyTo::Connection { replies, pending_bytes, .. } => pending_bytes + replies.len(),
            ReplyTo::Datagram { .. } | ReplyTo::None => 0,
        }
    }

    /// Sends `payload` to another connection, in that connection's framing. If the connection has
    /// closed, the payload is discarded. If its peer reads too slowly, the
    /// [`SlowConsumer`](crate::SlowConsumer) policy applies.
    pub fn send(&mut self, to: ConnId, payload: impl Into<Payload>) {
        self.pending.actions.push(Action::Send(smallvec![to], smallvec![payload.into()], BatchId::NONE));
    }

    /// Sends `payload` to many connections. It is encoded once per framing among them, and the
    /// bytes are shared.
    pub fn broadcast(&mut self, to: &[ConnId], payload: impl Into<Payload>) {
        self.pending.actions.push(Action::Send(SmallVec::from_slice(to), smallvec![payload.into()], BatchId::NONE));
    }

    /// Sends several payloads, in order, to many connections. They are encoded together, once per
    /// framing among the connections, and take one queue entry and one write per connection. A
    /// payload that a framing cannot carry is left out there.
    ///
    /// If a peer reads too slowly, the batch is queued whole or dropped whole. After a drop,
    /// [`on_dropped`](crate::Service::on_dropped) is called with `batch`, unless that is
    /// [`BatchId::NONE`].
    pub fn broadcast_batch(&mut self, to: &[ConnId], payloads: &[Payload], batch: BatchId) {
        self.pending.actions.push(Action::Send(SmallVec::from_slice(to), payloads.into(), batch));
    }

    /// Sends a datagram from the UDP socket that received the current datagram; otherwise from the
    /// service's first UDP socket of the address's family. Without such a socket, or if its queue
    /// is full, the datagram is dropped, counted and logged.
    pub fn datagram(&mut self, to: SocketAddr, payload: impl Into<Payload>) {
        self.pending.actions.push(Action::Datagram(to, payload.into()));
    }

    /// Closes this connection after its replies have been sent. `reason` appears in the log.
    pub fn close(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.close_other(self.conn, reason);
    }

    /// Closes another connection after its queued output has been sent. `reason` appears in the
    /// log.
    pub fn close_other(&mut self, id: ConnId, reason: impl Into<Cow<'static, str>>) {
        self.pending.actions.push(Action::Close(id, CloseReason::Service(reason.into())));
    }

    /// Sets a timer: [`on_timer`](crate::Service::on_timer) is called once, `after` from now. A
    /// timer set in a connection's callback is cancelled when the connection closes.
    pub fn set_timer(&mut self, after: Duration) -> TimerId {
        let id = TimerId::new(self.clock.timestamp + after, self.pending.next_number());
        self.pending.actions.push(Action::SetTimer(id));
        id
    }

    /// Cancels a timer. No effect if the timer has fired already.
    pub fn cancel_timer(&mut self, timer: TimerId) {
        self.pending.actions.push(Action::CancelTimer(timer));
    }

    /// Runs `work` on a worker thread and passes its value to [`on_job`](crate::Service::on_job).
    /// The connection stays open until then, even if its peer closes its side.
    ///
    /// On `Threaded` a connection's work runs on the connection's own thread, after the callback.
    /// The connection is neither read nor written during the work.
    pub fn offload<T: Any + Send>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> JobId {
        self.offload_holding(0, work)
    }

    /// Runs `work` as [`offload`](Self::offload) does, and declares the memory that it holds: what
    /// it has captured, or what it will return if that is more. The bytes count as those of
    /// [`hold`](Self::hold) do, from now until [`on_job`](crate::Service::on_job) is called, even
    /// if the connection closes before.
    pub fn offload_holding<T: Any + Send>(&mut self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> JobId {
        let id = JobId(self.pending.next_number());
        self.pending.actions.push(Action::Offload(id, bytes, Box::new(|| Box::new(work()))));
        id
    }

    /// Declares that the service keeps `bytes` of memory for a connection, such as requests that
    /// wait for a job. This replaces what it declared before for that connection; zero releases it,
    /// and so does the end of the connection. It may be called in any callback.
    ///
    /// The bytes count as held by the connection, see
    /// [`max_buffered_bytes`](crate::Limits::max_buffered_bytes). While they and the connection's
    /// queued output together are above high water, its peer is not read, until they are at low
    /// water. So declare what waits for the service, never what waits for the peer's next frame: a
    /// peer that is not read cannot send it.
    pub fn hold(&mut self, conn: ConnId, bytes: usize) {
        self.pending.actions.push(Action::Hold(conn, bytes));
    }

    /// Requests the engine's statistics. They come as the [`Stats`](crate::Stats) of an
    /// [`on_job`](crate::Service::on_job), without a worker thread. The connection stays open.
    pub fn request_stats(&mut self) -> JobId {
        let id = JobId(self.pending.next_number());
        self.pending.actions.push(Action::RequestStats(id));
        id
    }

    /// Requests one call of [`on_writable`](crate::Service::on_writable) when the output queued for
    /// this connection is below low water, which may already be the case. A service that sends more
    /// than should be held in memory sends one piece per call.
    pub fn notify_writable(&mut self) {
        self.pending.actions.push(Action::NotifyWritable);
    }

    /// Requests one call of [`on_turn_end`](crate::Service::on_turn_end) at the end of this turn,
    /// however many requests the turn makes. A request from `on_turn_end` or
    /// [`on_dropped`](crate::Service::on_dropped) may be served one turn later.
    ///
    /// On `Threaded` a turn is the work that one thread does while it holds the service's lock,
    /// such as the frames of one read.
    pub fn notify_turn_end(&mut self) {
        self.pending.turn_end_requested = true;
    }

    /// Logs a warning about a peer, such as the reason for closing its connection. Of each `cause`
    /// at most 10 lines are logged in 10 s, and fewer while it goes on, so that peers cannot fill
    /// the log; one line then has the number of those left out. `line` is formatted only if it is
    /// logged. The engine logs the closes that are its own, see [`CloseReason::is_fault`].
    pub fn warn(&self, cause: &'static str, line: impl fmt::Display) {
        self.log(Level::Warn, cause, line);
    }

    /// Logs a line about a peer at level `info`, with the limit of [`warn`](Self::warn).
    pub fn inform(&self, cause: &'static str, line: impl fmt::Display) {
        self.log(Level::Info, cause, line);
    }

    fn log(&self, level: Level, cause: &'static str, line: impl fmt::Display) {
        let of = LineCause { level, service: "", event: "lines", cause };
        self.pending.warnings.log(self.clock.timestamp, of, format_args!("{line}"));
    }

    /// Drains the engine, as [`Handle::drain`](crate::Handle::drain) does.
    pub fn drain(&mut self) {
        self.pending.actions.push(Action::Drain);
    }
}
