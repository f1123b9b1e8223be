//! What all connections of a run share: the buffer they read into, the batch they write from, the counters, the clock, and what
//! there is to send.

use std::io;
use std::time::Instant;

use super::Error;
use super::batch::{Batch, Wire};
use super::message::Images;
use super::pace::Pace;
use super::plan::{Activity, Plan};
use super::tally::Tally;
use crate::frame::{BufferPool, Framing};

/// One read brings at most this many bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// What an answer may be longer than the longest message before its connection is given up.
const FRAME_SLACK_BYTES: usize = 64 * 1024;

/// Messages of an open loop that may be under way at once, on all connections. What is due beyond it waits unsent.
const MAX_UNDER_WAY: usize = 1 << 20;
/// But each connection may always have so many.
const MIN_UNDER_WAY: usize = 64;

/// What connections are to send.
pub(super) enum Orders {
    Nothing,
    /// Always so many under way on each.
    Keep(usize),
    /// What is due by the timetable.
    Timetable(Pace),
    /// One, and no more.
    Once,
}

pub(super) struct Kit {
    pub(super) images: Images,
    pub(super) batch: Batch,
    pub(super) buffer: Box<[u8]>,
    pub(super) spares: BufferPool,
    pub(super) tally: Tally,
    pub(super) orders: Orders,
    pub(super) framing: Framing,
    pub(super) max_frame_bytes: usize,
    /// An open loop's messages under way on one connection.
    pub(super) max_in_flight: usize,
    pub(super) churn: bool,
    /// The measured time is over: what is left is to hear the last answers.
    pub(super) finishing: bool,
    /// What was said about a datagram instead of an answer, as long as there was none.
    pub(super) refusal: Option<io::Error>,
    pub(super) heard: bool,
    started: Instant,
    /// The time, as it was last looked at.
    pub(super) now_ns: u64,
}

impl Kit {
    pub(super) fn new(plan: &Plan) -> Result<Self, Error> {
        let framing = plan.framing;
        let wire = plan.wire();
        let text = wire == Wire::Stream(Framing::Lines);
        let under_way = MAX_UNDER_WAY / plan.connections.max(1);
        Ok(Self {
            images: Images::new(&plan.payload_bytes, plan.seed, text),
            batch: Batch::new(wire),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            spares: BufferPool::default(),
            tally: Tally::new(plan.activity).map_err(|error| Error::System(io::Error::other(error)))?,
            orders: Orders::Nothing,
            framing,
            max_frame_bytes: plan.payload_bytes.end().saturating_add(FRAME_SLACK_BYTES),
            max_in_flight: under_way.max(MIN_UNDER_WAY),
            churn: plan.activity == Activity::Churn,
            finishing: false,
            refusal: None,
            heard: false,
            started: Instant::now(),
            now_ns: 0,
        })
    }

    /// Looks at the clock: nanoseconds since the start of the run.
    #[inline]
    pub(super) fn look_at_clock(&mut self) -> u64 {
        self.now_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now_ns
    }
}
