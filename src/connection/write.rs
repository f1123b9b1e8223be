//! The way out: replies → one write → what the socket did not take → the queue → the socket again.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use super::deadline::Waits;
use super::{Connection, Desk, Flags, Stream};
use crate::connection::write_queue::{Offered, WriteQueue, Wrote};
use crate::engine::limits::Limits;
use crate::engine::stats::Stats;
use crate::frame::BatchId;
use crate::frame::{Batch, Framing, encode};
use crate::service::CloseReason;
use crate::service::reply_buffer::{MAX_PIECES, ReplyBuffer, ReplySource};
use crate::service::time::Timestamp;
use crate::service::{Peer, RejectionReply};

/// The parts of a connection that writing touches. Apart from them, its decoder may still lend out the frame being answered.
pub(super) struct Sink<'a, S> {
    pub(super) stream: &'a mut S,
    pub(super) queue: &'a mut WriteQueue,
    pub(super) flags: &'a mut Flags,
    pub(super) waits: &'a mut Waits,
    pub(super) peer: &'a Peer,
}

impl<S: Stream> Sink<'_, S> {
    /// Sends what the outbox holds, and empties it. `origin` is what the replies may lie in.
    pub(super) fn send(mut self, origin: ReplySource<'_>, desk: &mut Desk) -> Result<(), CloseReason> {
        let result = if self.queue.is_empty() && self.flags.writable {
            self.write_now(origin, desk)
        } else {
            self.offer(origin, desk).and_then(|()| self.flush(desk.clock.moment, &mut desk.stats))
        };
        desk.outbox.clear();
        result
    }

    /// The common case: nothing waits, so the socket may take all of it at once.
    fn write_now(&mut self, origin: ReplySource<'_>, desk: &mut Desk) -> Result<(), CloseReason> {
        let (outbox, now) = (&desk.outbox, desk.clock.moment);
        let taken = match write_outbox(self.stream, outbox, origin) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.flags.writable = false;
                0
            }
            Err(error) => return Err(broken(&error)),
        };
        desk.stats.bytes_out += taken as u64;
        if taken == outbox.len() {
            self.waits.wrote(true, false, now);
            return Ok(());
        }
        if taken == 0 {
            // Nothing has gone out, so these are whole frames like any others.
            self.waits.wrote(false, true, now);
            return self.offer(origin, desk);
        }
        self.queue.push_begun(beyond(outbox.pieces(origin), taken), outbox.len() - taken);
        self.waits.wrote(taken > 0, true, now);
        if self.stream.short_means_done() {
            self.flags.writable = false;
        }
        self.flush(now, &mut desk.stats)
    }

    /// Queues what the outbox holds.
    fn offer(&mut self, origin: ReplySource<'_>, desk: &mut Desk) -> Result<(), CloseReason> {
        let Desk { outbox, limits, stats, missed, .. } = desk;
        let offered = self.queue.offer(
            outbox.pieces(origin),
            outbox.len(),
            outbox.frames(),
            limits.queue_bound(&self.peer),
            missed,
        );
        self.account_for(offered, stats)
    }

    fn flush(&mut self, now: Timestamp, stats: &mut Stats) -> Result<(), CloseReason> {
        if !self.flags.writable || self.queue.is_empty() {
            self.waits.wrote(false, !self.queue.is_empty(), now);
            return Ok(());
        }
        let short_is_full = self.stream.short_means_done();
        let Wrote { bytes, blocked } = self.queue.write_to(self.stream, short_is_full).map_err(|e| broken(&e))?;
        stats.bytes_out += bytes as u64;
        self.flags.writable = !blocked;
        self.waits.wrote(bytes > 0, !self.queue.is_empty(), now);
        Ok(())
    }

    fn account_for(&mut self, offered: Offered, stats: &mut Stats) -> Result<(), CloseReason> {
        match offered {
            Offered::Queued => Ok(()),
            Offered::Dropped(frames) => {
                stats.frames_dropped += u64::from(frames);
                Ok(())
            }
            Offered::Full => Err(CloseReason::SlowConsumer { pending_bytes: self.queue.pending_bytes() }),
        }
    }
}

impl<S: Stream> Connection<S> {
    fn sink(&mut self) -> Sink<'_, S> {
        let Self { stream, queue, flags, waits, peer, .. } = self;
        Sink { stream, queue, flags, waits, peer }
    }

    /// Sends the replies of this step that have not been sent yet.
    #[inline]
    pub(crate) fn send(&mut self, origin: ReplySource<'_>, desk: &mut Desk) -> Result<(), CloseReason> {
        if desk.outbox.is_empty() { Ok(()) } else { self.sink().send(origin, desk) }
    }

    /// Tells a newcomer why it cannot stay, in its service's words if that has any, and ends it.
    pub(crate) fn refuse(&mut self, reason: CloseReason, words: Option<RejectionReply>, desk: &mut Desk) {
        let framing = self.framing();
        let plain = |reason: &CloseReason| {
            vec![if framing == Framing::Raw { format!("{reason}\n") } else { reason.to_string() }.into()]
        };
        for payload in words.map_or_else(|| plain(&reason), |words| words(framing, &reason)) {
            let mut frame = Vec::new();
            // A prefix too small for the sentence has to do without.
            if encode(framing, &payload, &mut frame).is_ok() {
                desk.outbox.push_encoded(&frame, 1);
            }
        }
        let sent = self.send(ReplySource::NONE, desk);
        self.end(reason, desk.clock.moment);
        if sent.is_ok() {
            self.goodbye_said();
        } else {
            self.abandon();
        }
    }

    /// Whether as much waits for the peer as may.
    #[inline]
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.queue.is_full(limits.max_write_buffer_bytes)
    }

    /// Queues frames that others are sent too; the turn flushes them when all have theirs.
    #[inline]
    pub(crate) fn offer_shared(&mut self, batch: &Arc<Batch>, desk: &mut Desk) -> Result<(), CloseReason> {
        let mut sink = self.sink();
        let offered = sink.queue.offer_shared(batch, desk.limits.queue_bound(sink.peer), &mut desk.missed);
        let settled = sink.account_for(offered, &mut desk.stats);
        sink.waits.wrote(false, !sink.queue.is_empty(), desk.clock.moment);
        settled
    }

    /// Says shared frames to the very connection that is being answered, so that they come after the replies that precede
    /// them. Frames without a ticket join the replies. A batch that has one must not lose it in a run of replies: the replies
    /// so far go into the queue before it, and whoever calls this flushes them.
    pub(crate) fn reply_shared(
        &mut self,
        batch: &Arc<Batch>,
        origin: ReplySource<'_>,
        desk: &mut Desk,
    ) -> Result<(), CloseReason> {
        if batch.id() == BatchId::NONE {
            desk.outbox.push_encoded(batch.bytes(), batch.frames());
            return Ok(());
        }
        let replied = if desk.outbox.is_empty() { Ok(()) } else { self.sink().offer(origin, desk) };
        desk.outbox.clear();
        replied.and_then(|()| self.offer_shared(batch, desk))
    }

    /// Writes what waits, as far as the socket takes it.
    #[inline]
    pub(crate) fn flush(&mut self, now: Timestamp, stats: &mut Stats) -> Result<(), CloseReason> {
        if self.queue.is_empty() || !self.flags.writable { Ok(()) } else { self.sink().flush(now, stats) }
    }

    /// Holds reading back while too much waits for the peer, or all connections hold too much; lets it go on below low water.
    #[inline]
    pub(crate) fn regulate(&mut self, limits: &Limits, now: Timestamp, stats: &mut Stats) {
        let pending = self.queue.pending_bytes();
        if pending == 0 && !self.waits.is_paused() && !self.flags.over_budget {
            return;
        }
        let bound = if self.waits.is_paused() { limits.low_water_bytes() } else { limits.high_water_bytes() };
        if pending > bound || self.flags.over_budget {
            self.flags.drain_watched |= pending > limits.high_water_bytes();
            stats.read_pauses += u64::from(!self.waits.is_paused());
            self.waits.pause(now);
        } else {
            self.waits.resume(now);
        }
    }

    /// Whether the service is to be told, now, that there is room for more output.
    #[inline]
    pub(crate) fn take_drained(&mut self, limits: &Limits) -> bool {
        let drained = self.has_drained(limits);
        self.flags.drain_watched &= !drained;
        drained
    }

    #[inline]
    pub(super) fn has_drained(&self, limits: &Limits) -> bool {
        self.flags.drain_watched && self.queue.pending_bytes() <= limits.low_water_bytes()
    }
}

fn write_outbox(stream: &mut impl Write, outbox: &ReplyBuffer, origin: ReplySource<'_>) -> io::Result<usize> {
    loop {
        let result = match outbox.one_piece() {
            Some(bytes) => stream.write(bytes),
            None => write_pieces(stream, outbox.pieces(origin)),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Not inlined: its slices would be on the stack of every thread that ever writes anything.
#[inline(never)]
fn write_pieces<'a>(stream: &mut impl Write, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    stream.write_vectored(slices.get(..count).unwrap_or_default())
}

/// What `pieces` hold after their first `taken` bytes.
fn beyond<'a>(pieces: impl Iterator<Item = &'a [u8]>, mut taken: usize) -> impl Iterator<Item = &'a [u8]> {
    pieces.map(move |piece| {
        let (gone, rest) = piece.split_at(taken.min(piece.len()));
        taken -= gone.len();
        rest
    })
}

/// A read or write that failed, as the reason for the end of its connection.
pub(super) fn broken(error: &io::Error) -> CloseReason {
    CloseReason::PeerReset(error.kind())
}
