//! The way in: socket → receive buffer → decoder → service.

use std::io::{self, IoSliceMut};

use super::write::{Sink, broken};
use super::{Connection, Desk, Phase, Stalled, Stream};
use crate::engine::limits::Limits;
use crate::frame::BufferPool;
use crate::service::CloseReason;
use crate::service::reply_buffer::ReplySource;
use crate::service::{ConnId, Service};

/// What one read brought.
#[derive(Debug)]
pub(crate) enum Fill {
    /// So many bytes, of which `buffered` are in the receive buffer; the others went straight to the unfinished frame.
    Bytes { total: usize, buffered: usize },
    /// Nothing now.
    Nothing,
    /// The peer's end.
    End,
    /// The connection cannot go on.
    Broken(CloseReason),
}

/// One read that nothing was made of yet.
#[derive(Debug)]
pub(crate) struct Drawn {
    result: io::Result<usize>,
    offered: usize,
    /// So many bytes of what was offered were room in the unfinished frame.
    direct: usize,
}

impl Drawn {
    /// Whether the read waited for as long as the socket lets it, and nothing came.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether it brought all that there was room for, so that more room would bring more at once.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.result.as_ref().is_ok_and(|bytes| *bytes == self.offered)
    }
}

/// How far the input was taken.
#[derive(Debug)]
pub(crate) enum Received {
    /// All of it; what is left of a frame is remembered.
    All,
    /// The service did something beyond replying, which comes before the next frame.
    Acted,
    /// Enough replies wait for a write.
    Flush,
    /// Not to its end: the connection cannot go on.
    Failed(CloseReason),
}

impl<S: Stream> Connection<S> {
    /// Whether reading it now may bring something.
    #[inline]
    pub(crate) fn wants_read(&self, limits: &Limits) -> bool {
        self.may_receive(limits) && (self.is_stalled() || (self.flags.readable && self.reason().is_none()))
    }

    /// Whether it is open and not held back.
    #[inline]
    pub(crate) fn may_receive(&self, limits: &Limits) -> bool {
        // Of a peer that has sent its last, little more can come, and its end frees what is held for it.
        let gone = self.flags.over_budget && self.flags.end_announced;
        let paused = self.waits.is_paused() && !(gone && self.queue.pending_bytes() <= limits.high_water_bytes());
        self.phase == Phase::Open && !paused
    }

    /// Whether it could go on at once: its budget was spent before its input was, or its service waits to send more.
    #[inline]
    pub(crate) fn wants_step(&self, limits: &Limits) -> bool {
        self.wants_read(limits)
            || (self.phase == Phase::Open && self.has_drained(limits))
            || (self.phase == Phase::Lingering && self.flags.readable)
    }

    /// Whether a read that brings less than it could has emptied the socket. An announced end has no event of its own to come,
    /// so only a read can find it; and at urgent data a read ends early.
    #[inline]
    fn short_means_empty(&self) -> bool {
        self.stream.short_means_done() && !self.flags.end_announced && !self.flags.urgent
    }

    /// Reads once, at most `most` bytes, and notes what came of it.
    #[inline]
    pub(crate) fn fill(&mut self, buffer: &mut [u8], most: usize, desk: &mut Desk) -> Fill {
        let drawn = self.draw(buffer, most, &mut desk.spares);
        self.take_in(drawn, desk)
    }

    /// Reads once, at most `most` bytes. Where an unfinished frame has room, its bytes go there first and only what follows
    /// them to `buffer`. Nothing is noted yet: where a read waits, the time has to be read between the two.
    #[inline]
    pub(crate) fn draw(&mut self, buffer: &mut [u8], most: usize, spares: &mut BufferPool) -> Drawn {
        loop {
            let spare = self.decoder.spare_with(spares);
            let direct = spare.len().min(most);
            let spare = spare.get_mut(..direct).unwrap_or_default();
            let offered = buffer.len().min(most - direct) + direct;
            let buffer = buffer.get_mut(..offered - direct).unwrap_or_default();
            let result = if spare.is_empty() {
                self.stream.read(buffer)
            } else {
                self.stream.read_vectored(&mut [IoSliceMut::new(spare), IoSliceMut::new(buffer)])
            };
            if !result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                return Drawn { result, offered, direct };
            }
        }
    }

    /// Notes what a read brought.
    #[inline]
    pub(crate) fn take_in(&mut self, drawn: Drawn, desk: &mut Desk) -> Fill {
        let Drawn { result, offered, direct } = drawn;
        match result {
            Ok(0) => {
                self.flags.readable = false;
                self.flags.ended = true;
                Fill::End
            }
            Ok(bytes) => {
                if bytes < offered && self.short_means_empty() {
                    self.flags.readable = false;
                }
                self.decoder.filled(bytes.min(direct));
                self.waits.received(desk.clock.moment);
                desk.stats.bytes_in += bytes as u64;
                Fill::Bytes { total: bytes, buffered: bytes.saturating_sub(direct) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.flags.readable = false;
                Fill::Nothing
            }
            Err(error) => Fill::Broken(broken(&error)),
        }
    }

    /// Hands the frames in `input` to the service, one by one, until something other than the next frame is due. `input` is
    /// what is left of `received`, in which replies may lie.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        input: &mut &[u8],
        received: &[u8],
        id: ConnId,
        service: &mut dyn Service,
        desk: &mut Desk,
    ) -> Received {
        let framing = self.framing();
        let mut completed = false;
        let received = loop {
            match self.decoder.decode_with(input, &mut desk.spares) {
                Ok(Some(payload)) => {
                    completed = true;
                    desk.stats.frames_in += 1;
                    let request = if desk.lends_requests { payload } else { &[] };
                    let origin = ReplySource { received, request };
                    service.on_frame(&mut desk.context(id, framing, origin, self.queue.pending_bytes()), payload);
                    if desk.outbox.lies_in_request() {
                        // It has to go before the request does.
                        let Self { stream, queue, flags, waits, peer, .. } = self;
                        let sink = Sink { stream, queue, flags, waits, peer };
                        if let Err(reason) = sink.send(origin, desk) {
                            break Received::Failed(reason);
                        }
                    }
                    if let Some(error) = desk.outbox.take_failure() {
                        break Received::Failed(CloseReason::UnsendableReply(error));
                    }
                    if !desk.effects.actions.is_empty() {
                        break Received::Acted;
                    }
                    if desk.outbox.is_worth_a_write() || self.queue.pending_bytes() > desk.limits.high_water_bytes() {
                        break Received::Flush;
                    }
                }
                Ok(None) => break Received::All,
                Err(error) => break Received::Failed(CloseReason::BadFrame(error)),
            }
        };
        self.waits.decoded(completed, self.decoder.unfinished_bytes().is_some(), desk.clock.moment);
        received
    }

    /// The peer will send no more: hands over the last line if it lacked its line feed, and says why the connection ends.
    pub(crate) fn finish(
        &mut self,
        id: ConnId,
        service: &mut dyn Service,
        desk: &mut Desk,
    ) -> Result<CloseReason, CloseReason> {
        let framing = self.framing();
        let received_bytes = self.decoder.unfinished_bytes();
        let looks_like = self.decoder.looks_like();
        if let Some(payload) = self.decoder.finish() {
            desk.stats.frames_in += 1;
            service.on_frame(&mut desk.context(id, framing, ReplySource::NONE, self.queue.pending_bytes()), payload);
            return Ok(CloseReason::PeerClosed);
        }
        match received_bytes {
            Some(received_bytes) => Err(CloseReason::TruncatedFrame { received_bytes, looks_like }),
            None => Ok(CloseReason::PeerClosed),
        }
    }

    /// Keeps input that came too early, until the peer has taken enough of what it is owed.
    pub(crate) fn stall(&mut self, input: &[u8]) {
        if !input.is_empty() {
            self.put_stalled(input.to_vec(), 0);
        }
    }

    /// Input kept by [`stall`](Self::stall).
    pub(crate) fn take_stalled(&mut self) -> Option<(Vec<u8>, usize)> {
        let rare = self.rare.as_mut()?;
        let stalled = rare.stalled.take();
        if rare.reason.is_none() {
            self.rare = None;
        }
        stalled.map(|stalled| (stalled.bytes, stalled.used))
    }

    /// Puts back what [`take_stalled`](Self::take_stalled) gave, used up to `used`.
    pub(crate) fn put_stalled(&mut self, bytes: Vec<u8>, used: usize) {
        if used < bytes.len() {
            self.rare.get_or_insert_default().stalled = Some(Stalled { bytes, used });
        }
    }

    /// Reads and forgets, so that closing finds nothing unread: unread input would turn the close into a reset, and a reset
    /// can overtake our last words.
    pub(super) fn discard(&mut self, scrap: &mut [u8]) {
        let short_means_empty = self.short_means_empty();
        // A read into no room would look like the peer's end.
        while self.flags.readable && !scrap.is_empty() {
            match self.stream.read(scrap) {
                Ok(0) => self.phase = Phase::Closed,
                Ok(bytes) if short_means_empty && bytes < scrap.len() => {}
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.phase = Phase::Closed,
            }
            self.flags.readable = false;
        }
    }
}
