//! Until when a peer has to do something, derived from when it last did.
//!
//! Time in which we ourselves did not read a peer is never held against it: when reading is resumed, the points in time that
//! its deadlines count from move by as much. An operator may type slowly and stop the output: for a console nothing is due but
//! the end.

use std::time::Duration;

use super::{Connection, Phase, Stream};
use crate::engine::limits::Limits;
use crate::service::CloseReason;
use crate::service::Peer;
use crate::service::time::Timestamp;

/// The points in time that deadlines count from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// Last time that a byte moved in either direction.
    active: Timestamp,
    /// When the unfinished frame began.
    frame: Option<Timestamp>,
    /// When the peer last took a byte of what it is owed, or was first owed any.
    write: Option<Timestamp>,
    /// When reading was paused by us.
    paused: Option<Timestamp>,
    /// The timer that is set for it, if any; the deadline may have moved later since.
    timer: Option<Timestamp>,
}

impl Waits {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { active: now, frame: None, write: None, paused: None, timer: None }
    }

    #[inline]
    pub(super) fn received(&mut self, now: Timestamp) {
        self.active = now;
    }

    /// After frames were taken from the input: whether any was completed, and whether one is left unfinished.
    #[inline]
    pub(super) fn decoded(&mut self, completed: bool, unfinished: bool, now: Timestamp) {
        if completed || !unfinished {
            self.frame = None;
        }
        if unfinished {
            self.frame.get_or_insert(now);
        }
    }

    /// After a write: whether the peer took any byte, and whether any is left.
    #[inline]
    pub(super) fn wrote(&mut self, any: bool, left: bool, now: Timestamp) {
        if any {
            self.active = now;
            self.write = None;
        }
        if left {
            self.write.get_or_insert(now);
        } else {
            self.write = None;
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    pub(super) fn pause(&mut self, now: Timestamp) {
        self.paused.get_or_insert(now);
    }

    pub(super) fn resume(&mut self, now: Timestamp) {
        if let Some(since) = self.paused.take() {
            let pause = now.saturating_since(since);
            self.frame = self.frame.map(|began| began + pause);
            // What was written meanwhile moved it already, and it never lies ahead.
            self.active = (self.active + pause).min(now);
        }
    }

    /// The connection reads no more: only what it owes, and the end itself, are waited for.
    pub(super) fn ended(&mut self, now: Timestamp) {
        *self = Self { write: self.write, timer: self.timer, ..Self::new(now) };
    }
}

/// What a peer has to have done by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Finished its frame.
    Frame,
    /// Said or taken anything at all.
    Sign,
    /// Taken a byte of what it is owed.
    Write,
    /// Closed its side, now that we have closed ours.
    End,
}

impl<S: Stream> Connection<S> {
    /// The earliest of its deadlines.
    #[inline]
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Timestamp, Due)> {
        let waits = &self.waits;
        let nothing_owed = waits.write.is_none() && self.phase == Phase::Open;
        if nothing_owed && waits.frame.is_none() && limits.idle_timeout.is_zero() {
            return None;
        }
        let linger_from = (self.phase == Phase::Lingering).then_some(waits.active);
        let end = linger_from.map(|from| (from + limits.linger_timeout, Due::End));
        if self.peer == Peer::Console {
            return end;
        }
        let reads = self.phase == Phase::Open && waits.paused.is_none() && self.reason().is_none();
        let idle_from = (self.jobs == 0 && waits.write.is_none()).then_some(waits.active);
        [
            after(waits.frame.filter(|_| reads), limits.frame_timeout, Due::Frame),
            after(idle_from.filter(|_| reads), limits.idle_timeout, Due::Sign),
            after(waits.write, limits.write_timeout, Due::Write),
            end,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Why a connection ends whose peer has missed a deadline.
    pub(crate) fn missed(&self, due: Due, limits: &Limits) -> CloseReason {
        match due {
            Due::Frame => {
                CloseReason::FrameTimeout { limit: limits.frame_timeout, looks_like: self.decoder.looks_like() }
            }
            Due::Sign => CloseReason::IdleTimeout(limits.idle_timeout),
            Due::Write => CloseReason::WriteTimeout(limits.write_timeout),
            Due::End => CloseReason::PeerClosed,
        }
    }

    /// The deadline for which a timer has to be set, if none is set that comes as early.
    #[inline]
    pub(crate) fn unset_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let (at, _) = self.deadline(limits)?;
        self.waits.timer.is_none_or(|set| at < set).then_some(at)
    }

    /// Notes which timer is set for the connection; returns the one that was.
    pub(crate) fn set_timer(&mut self, at: Option<Timestamp>) -> Option<Timestamp> {
        std::mem::replace(&mut self.waits.timer, at)
    }

    pub(crate) fn timer(&self) -> Option<Timestamp> {
        self.waits.timer
    }
}

/// A limit of zero is none.
fn after(from: Option<Timestamp>, limit: Duration, due: Due) -> Option<(Timestamp, Due)> {
    let from = from.filter(|_| !limit.is_zero())?;
    Some((from + limit, due))
}
