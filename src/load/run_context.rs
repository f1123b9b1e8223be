//! The state that all connections of a run share: the read buffer, the write batch, the recorder,
//! the clock and the send policy.

use std::io;
use std::time::Instant;

use super::config::{Activity, LoadConfig};
use super::error::LoadError;
use super::pace::SendSchedule;
use super::recorder::Recorder;
use super::templates::Templates;
use super::write_batch::{WireFormat, WriteBatch};
use crate::frame::{BufferPool, Framing};

/// Bytes of the read buffer, so the most that one read returns.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Bytes by which an answer may exceed the longest message before its connection is closed.
const FRAME_SLACK_BYTES: usize = 64 * 1024;

/// Messages that an open loop may have in flight on all connections together. Due messages beyond
/// this limit are sent later; their latency still counts from when they were due.
const MAX_IN_FLIGHT: usize = 1 << 20;

/// Messages that each connection may have in flight, however many connections share the limit.
const MIN_IN_FLIGHT: usize = 64;

/// The rule that decides which messages connections send now.
pub(super) enum SendPolicy {
    /// No message.
    Paused,
    /// The messages that keep this number in flight on each connection.
    KeepInFlight(usize),
    /// Every message that is due.
    Scheduled(SendSchedule),
    /// One message on each connection.
    Once,
}

/// The state that all connections of a run share.
pub(super) struct RunContext {
    pub(super) templates: Templates,
    pub(super) batch: WriteBatch,
    pub(super) read_buffer: Box<[u8]>,
    pub(super) buffer_pool: BufferPool,
    pub(super) recorder: Recorder,
    pub(super) send_policy: SendPolicy,
    pub(super) framing: Framing,
    pub(super) max_frame_bytes: usize,
    /// Open loop: messages that one connection may have in flight.
    pub(super) max_in_flight: usize,
    pub(super) is_churn: bool,
    /// The measured time is over; only the last answers are awaited.
    pub(super) is_finishing: bool,
    /// The last error that the network reported about a datagram.
    pub(super) udp_error: Option<io::Error>,
    /// At least one answer has arrived.
    pub(super) has_received: bool,
    started: Instant,
    /// The time of the last clock reading, in nanoseconds since the start of the run.
    pub(super) now_ns: u64,
}

impl RunContext {
    pub(super) fn new(config: &LoadConfig) -> Result<Self, LoadError> {
        let framing = config.framing;
        let format = config.wire_format();
        let is_text = format == WireFormat::Stream(Framing::Lines);
        let in_flight_share = MAX_IN_FLIGHT / config.connections.max(1);
        Ok(Self {
            templates: Templates::new(&config.payload_bytes, config.seed, is_text),
            batch: WriteBatch::new(format),
            read_buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            buffer_pool: BufferPool::default(),
            recorder: Recorder::new(config.activity).map_err(|error| LoadError::System(io::Error::other(error)))?,
            send_policy: SendPolicy::Paused,
            framing,
            max_frame_bytes: config.payload_bytes.end().saturating_add(FRAME_SLACK_BYTES),
            max_in_flight: in_flight_share.max(MIN_IN_FLIGHT),
            is_churn: config.activity == Activity::Churn,
            is_finishing: false,
            udp_error: None,
            has_received: false,
            started: Instant::now(),
            now_ns: 0,
        })
    }

    /// Reads the clock; returns nanoseconds since the start of the run.
    #[inline]
    pub(super) fn read_clock(&mut self) -> u64 {
        self.now_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now_ns
    }
}
