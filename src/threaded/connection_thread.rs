//! The thread of one connection: it waits, runs a turn of work, and waits again.
//!
//! If no other thread reaches the connection and it is busy, the wait is the read itself. A small
//! request then costs one `recv` and one `send`, and no lock. A connection that receives nothing
//! for [`READ_TIMEOUT`] is idle: its thread frees its buffers and waits in poll(2) for the socket
//! and the engine's notifier. The thread of a shared service's connection always waits in poll(2),
//! because other threads must be able to wake it.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::semaphore::Semaphore;
use super::service_slot::{ServiceRef, ServiceSlot};
use super::shared::EngineShared;
use super::shared_connection::SharedConnection;
use super::socket::{ConnStream, READ_TIMEOUT, ThreadSocket, poll};
use super::thread_stats::ThreadStats;
use super::worker::{JobResult, Worker};
use crate::connection::{Connection, PeerEnd, Readiness};
use crate::engine::run_state::RunState;
use crate::frame::{Framing, MAX_RAW_BYTES};
use crate::net::Notifier;
use crate::service::reply_buffer::ReplyBuffer;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, Service};

/// Bytes of the first receive buffer. It grows with each read that fills it, up to
/// [`MAX_BUFFER_BYTES`].
const MIN_BUFFER_BYTES: usize = 4 * 1024;
const MAX_BUFFER_BYTES: usize = 256 * 1024;

/// Time until a connection paused for memory checks again, if it has no notifier to wait for.
pub(super) const MEMORY_RECHECK: Duration = Duration::from_millis(100);

/// The thread of one connection.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and cleared on its own")]
pub(super) struct ConnectionThread {
    pub(super) worker: Worker,
    pub(super) id: ConnId,
    pub(super) service_slot: Arc<ServiceSlot>,
    pub(super) service: ServiceRef,
    /// The connection as other threads reach it; `None` if it belongs to this thread alone.
    pub(super) shared_conn: Option<Arc<SharedConnection>>,
    pub(super) receive_buffer: Vec<u8>,
    /// The next read may block, because it is the wait.
    pub(super) waits_in_read: bool,
    /// Bytes have arrived within the last [`READ_TIMEOUT`].
    pub(super) is_busy: bool,
    /// The state of the engine that this thread has acted on.
    pub(super) seen_state: RunState,
    /// Signaled when a connection paused for memory may be read again.
    pub(super) relief: Option<Arc<Notifier>>,
    /// `on_close` has to be called.
    pub(super) close_pending: bool,
    /// The connection slot is announced to become free.
    pub(super) release_announced: bool,
    /// Consecutive turns that left input unread. A peer is not late until its input is read.
    pub(super) partial_reads: u32,
    /// The number of jobs that waited when the turn began.
    pub(super) jobs_at_turn_start: usize,
    socket: Arc<ThreadSocket>,
    /// The socket's readiness as the last wait reported it.
    readiness: SocketReadiness,
}

#[derive(Default)]
struct SocketReadiness {
    readable: bool,
    writable: bool,
    eof: bool,
}

/// The result of a turn: what the thread does next.
pub(super) enum TurnOutcome {
    /// The connection is over.
    Finish,
    /// The next turn can run without a wait.
    RunAgain,
    /// A job waits to run.
    RunJob,
    Wait(SocketWait),
}

/// The events and the deadline of a wait.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct SocketWait {
    pub(super) read: bool,
    /// True if the next turn reads, so the wait may be that read. A connection that only discards
    /// input waits in poll(2), because its reads do not block.
    pub(super) in_read: bool,
    pub(super) write: bool,
    /// Report the peer's end of stream while the connection is not read.
    pub(super) eof: bool,
    pub(super) deadline: Option<Timestamp>,
}

impl ConnectionThread {
    /// Returns the thread's state on the heap. The call is never inlined: stack pages that are used
    /// once stay resident for as long as the thread lives.
    #[inline(never)]
    pub(super) fn new(
        (shared, thread_stats): (Arc<EngineShared>, Arc<ThreadStats>),
        id: ConnId,
        service_slot: &Arc<ServiceSlot>,
        instance: Option<Box<dyn Service + Send>>,
        socket: Arc<ThreadSocket>,
        shared_conn: Option<Arc<SharedConnection>>,
    ) -> Box<Self> {
        let worker = Worker::new(shared, thread_stats);
        let service_slot = Arc::clone(service_slot);
        let service = instance.map_or_else(|| ServiceRef::Shared(Arc::clone(&service_slot)), ServiceRef::Instance);
        Box::new(Self {
            worker,
            id,
            service_slot,
            service,
            shared_conn,
            receive_buffer: Vec::new(),
            waits_in_read: false,
            // A connection that never sends needs neither a buffer nor a timed wait.
            is_busy: false,
            seen_state: RunState::Serving,
            relief: None,
            close_pending: false,
            release_announced: false,
            partial_reads: 0,
            jobs_at_turn_start: 0,
            socket,
            readiness: SocketReadiness::default(),
        })
    }

    /// Runs a connection that belongs to this thread alone, from its open to its close.
    #[inline(never)]
    pub(super) fn run_private(&mut self, conn: &mut Connection<ConnStream>, peer: &Peer) {
        self.open(conn, peer);
        loop {
            match self.run_turn(conn) {
                TurnOutcome::Finish => break,
                TurnOutcome::RunAgain => {}
                TurnOutcome::RunJob => {
                    self.run_job(|thread, done| {
                        thread.handle_job_result(conn, done);
                        thread.next_poll(conn)
                    });
                }
                TurnOutcome::Wait(wait) => self.wait(&wait),
            }
        }
        self.finish(conn);
    }

    /// Runs a connection that other threads reach, from its open to its close. Releases its lock
    /// before each wait. After releasing the lock it looks into the inbox, because senders that
    /// found the lock taken have left their output there.
    #[inline(never)]
    pub(super) fn run_shared(&mut self, shared_conn: &SharedConnection, peer: &Peer) {
        self.open(&mut shared_conn.conn(), peer);
        loop {
            let next = self.run_turn(&mut shared_conn.conn());
            match next {
                TurnOutcome::Finish => break,
                TurnOutcome::RunJob => {
                    self.run_job(|thread, done| {
                        let mut conn = shared_conn.conn();
                        thread.handle_job_result(&mut conn, done);
                        thread.next_poll(&mut conn)
                    });
                }
                TurnOutcome::Wait(wait) if !shared_conn.has_pending() => self.wait(&wait),
                TurnOutcome::Wait(_) | TurnOutcome::RunAgain => {}
            }
        }
        self.finish(&mut shared_conn.conn());
    }

    /// Runs one job, then polls without waiting. Otherwise a connection whose jobs always offload
    /// further jobs would never read, write or close.
    fn run_job(&mut self, done: impl FnOnce(&mut Self, JobResult) -> Option<SocketWait>) {
        let Some(job) = self.worker.jobs.pop_front() else { return };
        let output = match self.service_slot.job_semaphore.as_ref().map(Semaphore::acquire) {
            Some(None) => job.reject(),
            Some(Some(permit)) => {
                let output = job.run();
                drop(permit);
                output
            }
            None => job.run(),
        };
        if let Some(wait) = done(self, output) {
            self.wait(&wait);
        }
    }

    /// Shuts the socket down. The connection is over, and the peer must not wait for this thread's
    /// jobs.
    pub(super) fn shut_down(&self) {
        self.socket.shut_down();
    }

    fn wait(&mut self, wait: &SocketWait) {
        let now = self.worker.context.clock.timestamp;
        let timeout = wait.deadline.map(|at| at.saturating_since(now));
        let is_shared = self.shared_conn.is_some();
        if self.is_busy && !is_shared && wait.in_read && !wait.write && timeout.is_none_or(|time| time > READ_TIMEOUT) {
            self.waits_in_read = true;
            return;
        }
        // A busy thread keeps its buffers until it has received nothing for `READ_TIMEOUT`.
        let until_idle = self.is_busy && timeout.is_none_or(|time| time > READ_TIMEOUT);
        let timeout = if until_idle { Some(READ_TIMEOUT) } else { timeout };
        if !self.is_busy {
            self.free_buffers();
        }
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, wait.read);
        events.set(PollFlags::OUT, wait.write);
        #[cfg(target_os = "linux")]
        events.set(PollFlags::RDHUP, wait.eof);
        let shared = &self.worker.shared;
        let socket = PollFd::new(&*self.socket, events);
        let change = PollFd::new(shared.change_notifier(self.seen_state), PollFlags::IN);
        let notifier =
            poll_notifier(self.shared_conn.as_deref().map(|shared_conn| &shared_conn.notifier), &self.socket);
        let relief = poll_notifier(self.relief.as_deref(), &self.socket);
        let mut poll_fds = [socket, change, notifier, relief];
        let count = 2 + usize::from(is_shared || self.relief.is_some()) + usize::from(self.relief.is_some());
        poll(poll_fds.get_mut(..count).unwrap_or_default(), timeout);
        let [socket, _, notifier, relief] = poll_fds.each_ref().map(PollFd::revents);
        let broken = PollFlags::HUP | PollFlags::ERR;
        #[cfg(target_os = "linux")]
        let ended = broken | PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let ended = broken;
        self.readiness = SocketReadiness {
            readable: socket.intersects(PollFlags::IN | ended),
            writable: socket.intersects(PollFlags::OUT | broken),
            eof: socket.intersects(ended),
        };
        if let Some(shared_conn) = self.shared_conn.as_ref().filter(|_| notifier.contains(PollFlags::IN)) {
            shared_conn.notifier.clear();
        }
        if relief.contains(PollFlags::IN) {
            self.relief = None;
        }
        self.is_busy &= !until_idle || self.readiness.readable || self.readiness.writable;
        self.worker.read_clock();
    }

    /// Frees the buffers that an idle thread does not need.
    fn free_buffers(&mut self) {
        if self.receive_buffer.capacity() > 0 {
            self.receive_buffer = Vec::new();
            self.worker.context.replies = ReplyBuffer::default();
            self.worker.context.buffer_pool.clear();
        }
    }

    /// Passes the readiness that the last wait reported to the connection.
    pub(super) fn mark_ready(&mut self, conn: &mut Connection<ConnStream>) {
        let SocketReadiness { readable, writable, eof } = std::mem::take(&mut self.readiness);
        // A wait in the read reports nothing about the socket: the read finds out.
        let readiness = Readiness { readable: readable || self.waits_in_read, writable };
        conn.mark_ready(readiness, if eof { PeerEnd::Reported } else { PeerEnd::Open });
    }

    pub(super) fn allocate_buffer(&mut self, framing: Framing) {
        if self.receive_buffer.is_empty() {
            // In a raw stream each read is a message, so the buffer has a fixed size.
            let bytes = if framing == Framing::Raw { MAX_RAW_BYTES } else { MIN_BUFFER_BYTES };
            self.receive_buffer = vec![0; bytes];
        }
    }

    /// Grows the receive buffer, because a read filled it. Not while half of the memory limit is
    /// used: the larger buffer is only faster.
    pub(super) fn grow_buffer(&mut self, framing: Framing) {
        let bytes = (self.receive_buffer.len() * 4).min(MAX_BUFFER_BYTES);
        if framing != Framing::Raw && bytes > self.receive_buffer.len() && !self.worker.shared.memory.is_half_used() {
            self.receive_buffer = vec![0; bytes];
        }
    }
}

/// Returns an entry that polls a notifier. Without a notifier, the entry is the connection's socket
/// with no events.
fn poll_notifier<'a>(notifier: Option<&'a Notifier>, socket: &'a ThreadSocket) -> PollFd<'a> {
    notifier.map_or_else(|| PollFd::new(socket, PollFlags::empty()), |notifier| PollFd::new(notifier, PollFlags::IN))
}
