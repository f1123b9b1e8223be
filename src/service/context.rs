//! What a service may do during one callback.
//!
//! A reply goes straight towards the peer that the callback is about. Everything else is an action: it is noted here and
//! applied by the engine when the callback has returned, so that no callback ever runs inside another.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::close_reason::CloseReason;
use super::ids::{ConnId, JobId, TimerId};
use super::reply_buffer::{ReplyBuffer, ReplySource};
use super::time::Timestamp;
use crate::frame::{BatchId, EncodeError, Framing, Payload, encode};
use crate::net::udp_batch::SendBatch;

/// One callback's view of the engine.
pub struct Context<'a> {
    pub(crate) conn: ConnId,
    pub(crate) clock: Clock,
    pub(crate) reply_to: ReplyTo<'a>,
    pub(crate) effects: &'a mut PendingActions,
}

/// The turn's one reading of the clock.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    pub(crate) moment: Timestamp,
}

/// Where a callback's replies go.
pub(crate) enum ReplyTo<'a> {
    /// To the connection that the callback is about.
    Connection {
        outbox: &'a mut ReplyBuffer,
        framing: Framing,
        /// What the reply may be sent from without a copy.
        origin: ReplySource<'a>,
        /// Bytes that the connection owed before this step.
        pending_bytes: usize,
    },
    /// To the sender of a datagram.
    Datagram { outgoing: &'a mut SendBatch, from: SocketAddr },
    /// Nowhere: the callback is about nobody, or about somebody who has gone.
    Nobody,
}

/// What callbacks have asked for and the engine has not done yet.
#[derive(Default)]
pub(crate) struct PendingActions {
    pub(crate) actions: Vec<Action>,
    /// The service wants to be called once more when the others of this turn have been.
    pub(crate) turn_end_requested: bool,
    next_number: u64,
    /// Where numbers come from that no other thread gives out.
    numbers: Option<Arc<AtomicU64>>,
}

/// Numbers that a thread takes from its engine at once.
const NUMBERS: u64 = 1024;

impl PendingActions {
    /// For one of several threads, none of which gives a number that another has given.
    pub(crate) fn numbered_by(numbers: &Arc<AtomicU64>) -> Self {
        Self { numbers: Some(Arc::clone(numbers)), ..Self::default() }
    }

    /// The highest number given to a timer or job so far.
    pub(crate) fn newest_number(&self) -> u64 {
        self.next_number
    }

    fn next_number(&mut self) -> u64 {
        if let Some(numbers) = &self.numbers
            && self.next_number.is_multiple_of(NUMBERS)
        {
            self.next_number = numbers.fetch_add(NUMBERS, Ordering::Relaxed);
        }
        self.next_number += 1;
        self.next_number
    }
}

/// One thing to be done after a callback.
pub(crate) enum Action {
    /// A frame for the connection that the callback is about.
    Reply(Vec<u8>),
    /// Payloads, in order, for each of these connections.
    Send(OneOrMany<ConnId>, OneOrMany<Payload>, BatchId),
    Datagram(SocketAddr, Payload),
    Close(ConnId, CloseReason),
    SetTimer(TimerId),
    CancelTimer(TimerId),
    Offload(JobId, Work),
    NotifyWritable,
    Shutdown,
}

/// One of a kind, which is by far the commonest number and costs no allocation, or any number of it.
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Box<[T]>),
}

impl<T> OneOrMany<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Work that may block.
pub(crate) type Work = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?})", self.conn)
    }
}

impl Context<'_> {
    /// The connection that this callback is about; [`ConnId::NONE`] where it is about none.
    #[inline]
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// The time, read once for all callbacks of a turn.
    #[inline]
    pub fn now(&self) -> Instant {
        self.clock.now
    }

    /// The time of day, read when asked. It is for people and for records: unlike [`now`](Self::now), it jumps whenever somebody
    /// sets the clock, forwards or back.
    pub fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    /// How the connection that this callback is about is framed; nothing where it is about a datagram, about nobody, or about
    /// somebody who has gone.
    pub fn framing(&self) -> Option<Framing> {
        match &self.reply_to {
            ReplyTo::Connection { framing, .. } => Some(*framing),
            ReplyTo::Datagram { .. } | ReplyTo::Nobody => None,
        }
    }

    /// Sends `payload` to the peer that this callback is about, framed as its connection is. A reply that the framing cannot
    /// carry ends the connection, because a request left without its answer would shift every later one; see
    /// [`try_reply`](Self::try_reply).
    ///
    /// A large reply that is, or lies within, the payload being answered is not copied. In a callback that is about nobody it
    /// goes nowhere. A datagram that is too long is dropped, and counted.
    #[inline]
    pub fn reply(&mut self, payload: &[u8]) {
        if let Err(error) = self.try_reply(payload)
            && let ReplyTo::Connection { outbox, .. } = &mut self.reply_to
        {
            outbox.fail(error);
        }
    }

    /// Like [`reply`](Self::reply), but leaves it to the service what to do about a payload that cannot be sent.
    ///
    /// # Errors
    /// [`EncodeError`] when the connection's framing cannot carry `payload`; nothing was sent.
    #[inline]
    pub fn try_reply(&mut self, payload: &[u8]) -> Result<(), EncodeError> {
        match &mut self.reply_to {
            // What was said in this callback before it comes first, to whomever it was said.
            ReplyTo::Connection { framing, .. } if !self.effects.actions.is_empty() => {
                let mut frame = Vec::new();
                encode(*framing, payload, &mut frame)?;
                self.effects.actions.push(Action::Reply(frame));
                Ok(())
            }
            ReplyTo::Connection { outbox, framing, origin, .. } => outbox.reply(*framing, payload, *origin),
            ReplyTo::Datagram { outgoing, from } => outgoing.push(*from, payload),
            ReplyTo::Nobody => Ok(()),
        }
    }

    /// Bytes owed to the peer that this callback is about, this callback's replies included.
    pub fn pending_bytes(&self) -> usize {
        match &self.reply_to {
            ReplyTo::Connection { outbox, pending_bytes, .. } => pending_bytes + outbox.len(),
            ReplyTo::Datagram { .. } | ReplyTo::Nobody => 0,
        }
    }

    /// Sends `payload` to another connection, framed as that one is. If it has gone, nothing happens; if it reads too slowly,
    /// [`SlowConsumer`](crate::SlowConsumer) decides.
    pub fn send(&mut self, to: ConnId, payload: impl Into<Payload>) {
        self.effects.actions.push(Action::Send(OneOrMany::One(to), OneOrMany::One(payload.into()), BatchId::NONE));
    }

    /// Sends `payload` to many connections. It is framed once for each framing among them, and shared.
    pub fn broadcast(&mut self, to: &[ConnId], payload: impl Into<Payload>) {
        self.effects.actions.push(Action::Send(
            OneOrMany::Many(to.into()),
            OneOrMany::One(payload.into()),
            BatchId::NONE,
        ));
    }

    /// Sends several payloads, in order, to many connections. They are framed once for each framing among those, and put
    /// together: however many they are, they cost each connection one place in its queue and one write. A payload that a
    /// framing cannot carry is left out there.
    ///
    /// Where a peer reads too slowly, the batch is queued whole or dropped whole. If it is dropped,
    /// [`on_dropped`](crate::Service::on_dropped) is told its ticket, unless that is [`BatchId::NONE`].
    pub fn broadcast_batch(&mut self, to: &[ConnId], payloads: &[Payload], ticket: BatchId) {
        self.effects.actions.push(Action::Send(OneOrMany::Many(to.into()), OneOrMany::Many(payloads.into()), ticket));
    }

    /// Sends a datagram from the socket that the current one came by, or else from the service's first UDP socket of the
    /// address's family. It is lost if there is none, and may be lost on its way.
    pub fn datagram(&mut self, to: SocketAddr, payload: impl Into<Payload>) {
        self.effects.actions.push(Action::Datagram(to, payload.into()));
    }

    /// Ends this connection when its replies have been sent. The words are for the log.
    pub fn close(&mut self, words: impl Into<Cow<'static, str>>) {
        self.close_other(self.conn, words);
    }

    /// Ends another connection when what is owed to it has been sent.
    pub fn close_other(&mut self, id: ConnId, words: impl Into<Cow<'static, str>>) {
        self.effects.actions.push(Action::Close(id, CloseReason::Service(words.into())));
    }

    /// Calls [`on_timer`](crate::Service::on_timer) once, `after` from now. Set in a connection's callback, the timer ends with it.
    pub fn set_timer(&mut self, after: Duration) -> TimerId {
        let id = TimerId::new(self.clock.moment + after, self.effects.next_number());
        self.effects.actions.push(Action::SetTimer(id));
        id
    }

    /// Takes a timer back; one that was due already is no concern.
    pub fn cancel_timer(&mut self, timer: TimerId) {
        self.effects.actions.push(Action::CancelTimer(timer));
    }

    /// Runs `work` where it holds up no other connection; its value comes to [`on_job`](crate::Service::on_job). The connection
    /// stays open until then, even if its peer has closed its side.
    ///
    /// That is a worker thread, but on `Threaded` a connection's work runs on the connection's own thread, after the callback.
    /// It does nothing else for the connection meanwhile.
    pub fn offload<T: Any + Send>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> JobId {
        let id = JobId(self.effects.next_number());
        self.effects.actions.push(Action::Offload(id, Box::new(|| Box::new(work()))));
        id
    }

    /// Asks for one call of [`on_writable`](crate::Service::on_writable) as soon as the output owed to this connection is below low
    /// water, which may be at once. This is how a service sends more than should be held in memory: a piece at a time.
    pub fn notify_writable(&mut self) {
        self.effects.actions.push(Action::NotifyWritable);
    }

    /// Asks for one call of [`on_turn_end`](crate::Service::on_turn_end) when the callbacks of this turn have been made, however often
    /// it is asked for. Asked for in `on_turn_end` or [`on_dropped`](crate::Service::on_dropped), the call may come a turn later.
    ///
    /// On `Threaded`, a turn is what one thread does under one taking of the service's lock: the frames of one read, say.
    pub fn notify_turn_end(&mut self) {
        self.effects.turn_end_requested = true;
    }

    /// Stops the engine as its handle's `drain` does.
    pub fn shutdown(&mut self) {
        self.effects.actions.push(Action::Shutdown);
    }
}
