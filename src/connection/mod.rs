//! The state machine of one connection: what it has received, what it owes, and whether it may go on.
//!
//! Generic over its stream, so that tests script every short write and every error. It knows its service only while bytes are
//! being handed to it, never another connection, and reads no clock.
//!
//! `Open → Draining → Closed`, in more detail at [`Phase`]. Open, it reads, decodes and answers. Draining, it takes no more frames: its service says
//! goodbye, what it owes is flushed, its writing side is shut down, and input is discarded until the peer has closed too.
//! Closed, it waits to be reaped. Files beside this one: [`read`] brings bytes to the service, [`write`](mod@write) takes replies to the socket, [`deadline`]
//! says until when the peer has to do something.

mod deadline;
mod desk;
mod read;
#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;
mod write;

pub(crate) mod write_queue;

pub(crate) use desk::Desk;
pub(crate) use read::{Fill, Received};

use std::io::{self, Read, Write};

use crate::connection::write_queue::WriteQueue;
use crate::engine::limits::Limits;
use crate::frame::{FrameDecoder, Framing};
use crate::service::CloseReason;
use crate::service::time::Timestamp;
use crate::service::{Peer, ServiceId};

/// A byte stream whose writing side can be closed by itself.
pub(crate) trait Stream: Read + Write {
    /// Whether a read or write that does less than it could has found the socket empty or full, and an edge will follow. Where
    /// that is not promised, only `WouldBlock` says so.
    fn short_means_done(&self) -> bool;

    fn shutdown_write(&self) -> io::Result<()>;
}

/// One connection.
pub(crate) struct Connection<S> {
    stream: S,
    peer: Peer,
    service: u32,
    decoder: FrameDecoder,
    queue: WriteQueue,
    phase: Phase,
    /// What few connections have, and those not for long.
    rare: Option<Box<Rare>>,
    /// Jobs offloaded in its name that have not come back.
    jobs: u32,
    waits: deadline::Waits,
    /// Bytes that it was counted with when the engine last counted.
    counted_bytes: u32,
    flags: Flags,
}

#[derive(Default)]
struct Rare {
    /// Received and not decoded: the connection came to owe too much in the middle of a read.
    stalled: Option<Stalled>,
    /// Why it ended, or will when what it was asked is answered.
    reason: Option<CloseReason>,
}

struct Stalled {
    bytes: Vec<u8>,
    used: usize,
}

/// Where a connection is between its first byte and its last.
///
/// | from | to | when |
/// |---|---|---|
/// | `Open` | `Ending` | [`end`](Connection::end): the peer's end is answered, or anybody's fault |
/// | `Ending` | `Draining` | [`goodbye_said`](Connection::goodbye_said): later in the same turn |
/// | `Draining` | `Lingering` | [`wind_up`](Connection::wind_up): all is flushed, our side is shut down |
/// | `Lingering` | `Closed` | the peer has closed its side, too, or its time is up |
/// | any | `Closed` | [`abandon`](Connection::abandon): nobody is there to be polite to |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It reads and answers.
    Open,
    /// It takes no more frames; its service has not been told yet, and may have a last word.
    Ending,
    /// What it owes is being flushed.
    Draining,
    /// Everything is flushed and the writing side shut down; input is discarded.
    Lingering,
    /// Nothing is left to do but to forget it.
    Closed,
}

/// Readiness and membership of the loop's lists, remembered here because here is where they are looked at.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and cleared on its own")]
pub(crate) struct Flags {
    /// A read may bring something.
    pub(crate) readable: bool,
    /// A write may be taken.
    pub(crate) writable: bool,
    /// An event said that the peer will send no more: reading goes on until it says so itself.
    pub(crate) end_announced: bool,
    /// Urgent data was sent, whose place in the stream is unknown: a read may end there although more follows.
    pub(crate) urgent: bool,
    /// A read has returned the end.
    pub(crate) ended: bool,
    /// In the ready queue.
    pub(crate) queued: bool,
    /// Others have put something into its queue this turn.
    pub(crate) dirty: bool,
    /// Waits for the engine's buffered bytes to fall.
    pub(crate) over_budget: bool,
    /// The service wants to know when the queue is below low water.
    pub(crate) drain_watched: bool,
    /// It ends for a reason that leaves nobody to read its last words.
    pub(crate) unreachable: bool,
    /// A newcomer that was turned away: no service ever knew it.
    pub(crate) refused: bool,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(
        stream: S,
        peer: Peer,
        service: ServiceId,
        framing: Framing,
        limits: &Limits,
        now: Timestamp,
    ) -> Self {
        Self {
            stream,
            peer,
            service: u32::try_from(service.0).unwrap_or(u32::MAX),
            decoder: FrameDecoder::new(framing, limits.max_frame_bytes),
            queue: WriteQueue::default(),
            phase: Phase::Open,
            rare: None,
            jobs: 0,
            waits: deadline::Waits::new(now),
            counted_bytes: 0,
            // A new socket has an empty send buffer; whether it has input an event will say.
            flags: Flags { writable: true, ..Flags::default() },
        }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    #[inline]
    pub(crate) fn service(&self) -> ServiceId {
        ServiceId(self.service as usize)
    }

    #[inline]
    pub(crate) fn framing(&self) -> Framing {
        self.decoder.framing()
    }

    #[inline]
    pub(crate) fn flags(&mut self) -> &mut Flags {
        &mut self.flags
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether its service can still say something to it.
    pub(crate) fn takes_output(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Ending)
    }

    #[inline]
    pub(crate) fn reason(&self) -> Option<&CloseReason> {
        self.rare.as_ref()?.reason.as_ref()
    }

    #[inline]
    pub(crate) fn pending_bytes(&self) -> usize {
        self.queue.pending_bytes()
    }

    /// Memory it holds for bytes received and bytes owed.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let stalled =
            self.rare.as_ref().and_then(|rare| rare.stalled.as_ref()).map_or(0, |stalled| stalled.bytes.len());
        self.decoder.held_bytes() + self.queue.held_bytes() + stalled
    }

    #[inline]
    fn is_stalled(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.stalled.is_some())
    }

    /// Brings an engine's sum of held bytes up to date.
    #[inline]
    pub(crate) fn count_into(&mut self, sum: &mut u64) {
        let (before, now) = self.recount();
        *sum = *sum - before + now;
    }

    /// What it held when it was last asked this, and what it holds now.
    #[inline]
    pub(crate) fn recount(&mut self) -> (u64, u64) {
        let held = u32::try_from(self.held_bytes()).unwrap_or(u32::MAX);
        (std::mem::replace(&mut self.counted_bytes, held).into(), held.into())
    }

    /// Notes what an event says; whether that gives the connection something to do, and it is in no queue yet.
    #[inline]
    pub(crate) fn mark(&mut self, readable: bool, writable: bool, end: bool) -> bool {
        self.flags.readable |= readable;
        self.flags.writable |= writable;
        self.flags.end_announced |= end;
        // Room for output is worth a step only when there is output.
        (readable || !self.queue.is_empty()) && self.enqueue()
    }

    /// Notes that it is in the ready queue; whether it was not before.
    #[inline]
    pub(crate) fn enqueue(&mut self) -> bool {
        !std::mem::replace(&mut self.flags.queued, true)
    }

    pub(crate) fn job_started(&mut self) {
        self.jobs += 1;
    }

    pub(crate) fn job_ended(&mut self) {
        self.jobs = self.jobs.saturating_sub(1);
    }

    /// No more input will be read; once everything received is answered, the connection is [`answered`](Self::answered).
    pub(crate) fn end_when_answered(&mut self, reason: CloseReason) {
        self.rare.get_or_insert_default().reason.get_or_insert(reason);
    }

    /// Whether it only waited for its answers to be given, and has them. A service that waits for room has more to say.
    #[inline]
    pub(crate) fn answered(&self) -> bool {
        let more_to_come = self.jobs > 0 || self.is_stalled() || self.flags.drain_watched;
        self.reason().is_some() && self.phase == Phase::Open && !more_to_come
    }

    /// Takes no more frames. What is owed is still flushed if `reason` leaves a peer to flush it to.
    pub(crate) fn end(&mut self, reason: CloseReason, now: Timestamp) {
        self.phase = Phase::Ending;
        self.decoder = FrameDecoder::new(self.framing(), 0);
        self.hurry(&reason);
        self.waits.ended(now);
        self.rare = Some(Box::new(Rare { stalled: None, reason: Some(reason) }));
    }

    /// One more reason for an end that is under way. All that it can change is that no peer is left to be polite to.
    pub(crate) fn hurry(&mut self, reason: &CloseReason) {
        if is_unreachable(reason) {
            self.flags.unreachable = true;
            self.queue = WriteQueue::default();
            // What is dropped may have been half a frame, and a last word would be read as its other half.
            self.flags.writable = false;
        }
    }

    /// The service has been told, and what it said last is queued.
    pub(crate) fn goodbye_said(&mut self) {
        self.phase = Phase::Draining;
        if self.flags.unreachable {
            self.abandon();
        }
    }

    /// Gives up on whatever it still owes, which therefore no longer counts as held.
    pub(crate) fn abandon(&mut self) {
        self.phase = Phase::Closed;
        self.queue = WriteQueue::default();
    }

    /// Takes the next step of an orderly end, as far as the socket allows.
    pub(crate) fn wind_up(&mut self, scrap: &mut [u8], now: Timestamp) {
        if self.phase == Phase::Draining && self.queue.is_empty() {
            // After the peer's end there is nothing it could still send, hence nothing that would turn into a reset.
            let keep = !self.flags.ended && self.stream.shutdown_write().is_ok();
            self.phase = if keep { Phase::Lingering } else { Phase::Closed };
            self.waits.ended(now);
        }
        // Another connection's read may hold the buffer. A read without one would look like the peer's end.
        if self.phase == Phase::Lingering && !scrap.is_empty() {
            self.discard(scrap);
        }
    }
}

/// Whether an end for this reason leaves no peer that would read what it is owed.
fn is_unreachable(reason: &CloseReason) -> bool {
    matches!(reason, CloseReason::PeerReset(_) | CloseReason::WriteTimeout(_) | CloseReason::SlowConsumer { .. })
}
