//! What all connections of a run share: the buffer they read into, the batch they write from, the counters, the clock, and what
//! there is to send.

use std::io;
use std::time::Instant;

use super::config::{Activity, LoadConfig};
use super::error::LoadError;
use super::pace::SendSchedule;
use super::recorder::Recorder;
use super::templates::Templates;
use super::write_batch::{WireFormat, WriteBatch};
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
pub(super) enum SendPolicy {
    Nothing,
    /// Always so many under way on each.
    Keep(usize),
    /// What is due by the timetable.
    Timetable(SendSchedule),
    /// One, and no more.
    Once,
}

pub(super) struct RunContext {
    pub(super) templates: Templates,
    pub(super) batch: WriteBatch,
    pub(super) buffer: Box<[u8]>,
    pub(super) spares: BufferPool,
    pub(super) recorder: Recorder,
    pub(super) policy: SendPolicy,
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

impl RunContext {
    pub(super) fn new(config: &LoadConfig) -> Result<Self, LoadError> {
        let framing = config.framing;
        let wire = config.wire();
        let text = wire == WireFormat::Stream(Framing::Lines);
        let under_way = MAX_UNDER_WAY / config.connections.max(1);
        Ok(Self {
            templates: Templates::new(&config.payload_bytes, config.seed, text),
            batch: WriteBatch::new(wire),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            spares: BufferPool::default(),
            recorder: Recorder::new(config.activity).map_err(|error| LoadError::System(io::Error::other(error)))?,
            policy: SendPolicy::Nothing,
            framing,
            max_frame_bytes: config.payload_bytes.end().saturating_add(FRAME_SLACK_BYTES),
            max_in_flight: under_way.max(MIN_UNDER_WAY),
            churn: config.activity == Activity::Churn,
            finishing: false,
            refusal: None,
            heard: false,
            started: Instant::now(),
            now_ns: 0,
        })
    }

    /// Looks at the clock: nanoseconds since the start of the run.
    #[inline]
    pub(super) fn read_clock(&mut self) -> u64 {
        self.now_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now_ns
    }
}
