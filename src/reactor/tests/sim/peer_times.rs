//! When a peer did what its deadlines count from, and the time for which the loop did not read it.

use std::time::{Duration, Instant};

pub(super) struct PeerTimes {
    pub(super) last_read: Instant,
    last_sent: PeerTime,
    /// When the unfinished frame began to arrive.
    frame_began: Option<PeerTime>,
    /// The time that the last frame which arrived in pieces took.
    last_frame: Duration,
    /// The time for which the loop has not read the peer by its own choice.
    paused: Duration,
    is_paused: bool,
}

/// A point in time, with the pauses before it.
#[derive(Clone, Copy)]
struct PeerTime {
    at: Instant,
    paused: Duration,
}

impl PeerTimes {
    pub(super) fn new(now: Instant) -> Self {
        let last_sent = PeerTime { at: now, paused: Duration::ZERO };
        let (frame_began, last_frame, paused) = (None, Duration::ZERO, Duration::ZERO);
        Self { last_read: now, last_sent, frame_began, last_frame, paused, is_paused: false }
    }

    /// Returns the time from `began` to `now` in which the peer was read.
    fn since(&self, began: PeerTime, now: Instant) -> Duration {
        now.saturating_duration_since(began.at).saturating_sub(self.paused - began.paused)
    }

    /// Notes that bytes were sent: `completed` if they complete a frame, `unfinished` if they end
    /// inside one.
    pub(super) fn sent(&mut self, completed: bool, unfinished: bool, now: Instant) {
        self.last_sent = PeerTime { at: now, paused: self.paused };
        if completed && let Some(began) = self.frame_began.take() {
            self.last_frame = self.since(began, now);
        }
        let began = self.frame_began.unwrap_or(self.last_sent);
        self.frame_began = unfinished.then_some(began);
    }

    /// Notes a turn: `time` has passed since the last one, and now the loop reads the peer, or
    /// pauses.
    pub(super) fn note_turn(&mut self, time: Duration, is_paused: bool) {
        if std::mem::replace(&mut self.is_paused, is_paused) {
            self.paused += time;
        }
    }

    /// Returns the time that the peer has taken for a frame: the unfinished one or the last one,
    /// whichever took longer.
    pub(super) fn frame_time(&self, now: Instant) -> Duration {
        self.frame_began.map_or(Duration::ZERO, |began| self.since(began, now)).max(self.last_frame)
    }

    /// Returns the time for which the peer has sent nothing.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        self.since(self.last_sent, now)
    }
}
