//! The state that all connections of a run share: the recorder, the clock and the send policy.

use std::io;
use std::time::Instant;

use super::config::Activity;
use super::error::LoadError;
use super::pace::SendPolicy;
use super::recorder::Recorder;
use super::write_batch::WriteBatch;
use crate::frame::BufferPool;

/// Bytes of the read buffer, so the most that one read returns.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// The state that all connections of a run share.
pub(super) struct RunContext {
    pub(super) recorder: Recorder,
    pub(super) send_policy: SendPolicy,
    pub(super) buffer_pool: BufferPool,
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
    pub(super) fn new(activity: Activity) -> Result<Self, LoadError> {
        Ok(Self {
            recorder: Recorder::new(activity).map_err(|error| LoadError::System(io::Error::other(error)))?,
            send_policy: SendPolicy::Paused,
            buffer_pool: BufferPool::default(),
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

/// The buffers that all connections of a run use in turn.
pub(super) struct IoBuffers {
    pub(super) read: Box<[u8]>,
    pub(super) batch: WriteBatch,
}

impl IoBuffers {
    /// Creates the buffers; a batch of at least `batch_bytes` is full.
    pub(super) fn new(batch_bytes: usize) -> Self {
        Self { read: vec![0; READ_BUFFER_BYTES].into_boxed_slice(), batch: WriteBatch::new(batch_bytes) }
    }
}
