//! The thread of one connection: it waits, runs a turn of work, and waits again.
//!
//! If no other thread reaches the connection and it is busy, the wait is the read itself. A small
//! request then costs one `recv` and one `send`, and no lock. A connection that receives nothing
//! for [`READ_TIMEOUT`] is idle: its thread frees its buffers and waits in poll(2) for the socket
//! and the engine's notifier. The thread of a shared service's connection always waits in poll(2),
//! because other threads must be able to wake it.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::current_connection::OwnConnection;
use super::lifecycle::WaitGuard;
use super::routes::{Reachability, Route, ThreadStats};
use super::service_slot::{Semaphore, ServiceRef, ServiceSlot};
use super::shared::EngineShared;
use super::shared_connection::{ConnectionAccess, SharedConnection};
use super::socket::{ConnSocket, ConnStream, READ_TIMEOUT, poll};
use super::worker::Worker;
use crate::connection::{Connection, PeerEnd, Readiness};
use crate::engine::run_state::RunState;
use crate::frame::Framing;
use crate::net::Notifier;
use crate::service::time::Timestamp;
use crate::service::{GuardedService, Peer};
use crate::sync::mpsc::Sender;

/// Reports the peer's end of stream while input is not polled for. Only Linux has it.
#[cfg(target_os = "linux")]
pub(super) const PEER_END: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
pub(super) const PEER_END: PollFlags = PollFlags::empty();

/// A connection with a slot and without a thread: an accepted socket or a console. The thread
/// releases the slot when the connection is over.
pub(super) struct PendingConnection {
    pub(super) socket: Arc<dyn ConnSocket>,
    pub(super) peer: Peer,
    pub(super) framing: Framing,
    /// The connection's notifier, if its service is shared and the notifier exists.
    pub(super) notifier: Option<Notifier>,
    /// True if the socket has the read timeout already.
    pub(super) has_read_timeout: bool,
    /// Dropped when `on_open` has run.
    pub(super) opening: Option<Sender<()>>,
}

/// The parts that a connection's thread needs for its start.
pub(super) struct ConnectionStart {
    shared: Arc<EngineShared>,
    thread_stats: Arc<ThreadStats>,
    own: OwnConnection,
    instance: Option<GuardedService>,
    socket: Arc<dyn ConnSocket>,
    peer: Peer,
    access: ConnectionAccess,
    opening: Option<Sender<()>>,
}

/// The thread of one connection.
pub(super) struct ConnectionThread {
    pub(super) worker: Worker,
    pub(super) own: OwnConnection,
    pub(super) service: ServiceRef,
    pub(super) receive_buffer: Vec<u8>,
    /// The bytes of the receive buffer and of free buffers, as they are counted.
    pub(super) counted_scratch: u64,
    /// The next read may block, because it is the wait.
    pub(super) waits_in_read: bool,
    /// Bytes have arrived within the last [`READ_TIMEOUT`].
    pub(super) is_busy: bool,
    /// The state of the engine that this thread has acted on.
    pub(super) seen_state: RunState,
    /// Signaled when a connection paused for memory may be read again.
    pub(super) relief: Option<Arc<Notifier>>,
    /// The connection slot is announced to become free.
    pub(super) release_announced: bool,
    /// The number of jobs that waited when the turn began.
    pub(super) jobs_at_turn_start: usize,
    socket: Arc<dyn ConnSocket>,
    /// The socket's events as the last wait reported them.
    pub(super) reported: PollFlags,
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
pub(super) struct SocketWait {
    pub(super) events: PollFlags,
    /// True if the next turn reads, so the wait may be that read. A connection that only discards
    /// input waits in poll(2), because its reads do not block.
    pub(super) in_read: bool,
    /// False if poll(2) would only report again and again that the peer has closed.
    pub(super) on_socket: bool,
    pub(super) deadline: Option<Timestamp>,
}

/// The time of a wait in poll(2).
pub(super) struct PollTime {
    pub(super) timeout: Option<Duration>,
    /// The thread is busy, and idle if the socket reports nothing in this time.
    until_idle: bool,
}

impl PendingConnection {
    /// Starts the connection's thread.
    ///
    /// # Errors
    /// The error of the system call that failed. The caller releases the slot.
    pub(super) fn start(self, shared: &Arc<EngineShared>, slot: &Arc<ServiceSlot>, now: Timestamp) -> io::Result<()> {
        let start = self.register(shared, slot, now)?;
        let (id, wait_guard) = (start.own.id, shared.lifecycle.threads.enter());
        let name = format!("conn-{}", shared.lifecycle.next_thread_number());
        let spawned = shared.system.spawn(name, Box::new(move || start.run(wait_guard)));
        spawned.inspect_err(|_| shared.routes.remove(id, &ThreadStats::default()))
    }

    /// Adds the connection to the table.
    pub(super) fn register(
        self,
        shared: &Arc<EngineShared>,
        service_slot: &Arc<ServiceSlot>,
        now: Timestamp,
    ) -> io::Result<ConnectionStart> {
        let Self { socket, peer, framing, notifier, has_read_timeout, opening } = self;
        let instance = service_slot.per_connection.as_ref();
        let instance =
            instance.map(|factory| GuardedService::instance(factory, shared.limits.panic, &service_slot.history));
        let stream = ConnStream::new(Arc::clone(&socket));
        let conn = Connection::new(stream, peer, service_slot.id, framing, &shared.limits, now);
        let (reachability, access, shared_conn) = if instance.is_some() {
            if !has_read_timeout {
                socket.set_read_timeout()?;
            }
            (Reachability::Private(Arc::clone(&socket)), ConnectionAccess::Private(Box::new(conn)), None)
        } else {
            let shared_conn = Arc::new(SharedConnection::new(conn, notifier.map_or_else(Notifier::new, Ok)?));
            let access = ConnectionAccess::Shared(Arc::clone(&shared_conn));
            (Reachability::Shared(Arc::clone(&shared_conn)), access, Some(shared_conn))
        };
        let (shared, thread_stats) = (Arc::clone(shared), Arc::new(ThreadStats::default()));
        let id = shared.routes.add(Route {
            thread_stats: Arc::clone(&thread_stats),
            reachability,
            peer,
            service: service_slot.id,
        });
        let own = OwnConnection { id, service_slot: Arc::clone(service_slot), shared_conn, has_seen_stop: false };
        Ok(ConnectionStart { shared, thread_stats, own, instance, socket, peer, access, opening })
    }
}

impl ConnectionStart {
    /// Runs the connection on this thread, from its open to its close.
    fn run(mut self, wait_guard: WaitGuard) {
        let (shared, thread_stats) = (Arc::clone(&self.shared), Arc::clone(&self.thread_stats));
        let (id, peer, service) = (self.own.id, self.peer, self.own.service_slot.id);
        let opening = self.opening.take();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let (mut thread, mut access) = self.into_thread();
            thread.run(&mut access, opening);
            thread.release_announced
        }));
        let release_announced = result.unwrap_or_else(|panic| {
            shared.fail(panic);
            false
        });
        // The connection is dropped, so the socket is closed or the last deliverer closes it.
        shared.release((id, peer, service), &thread_stats, release_announced);
        drop(shared);
        drop(wait_guard);
    }

    /// Returns the thread's state on the heap, and its connection. The call is never inlined: stack
    /// pages that are used once stay resident for as long as the thread lives.
    #[inline(never)]
    pub(super) fn into_thread(self) -> (Box<ConnectionThread>, ConnectionAccess) {
        let Self { shared, thread_stats, own, instance, socket, access, .. } = self;
        let shared_service = || ServiceRef::Shared(Arc::clone(&own.service_slot));
        let service = instance.map_or_else(shared_service, ServiceRef::Instance);
        let thread = Box::new(ConnectionThread {
            worker: Worker::new(shared, thread_stats),
            own,
            service,
            receive_buffer: Vec::new(),
            counted_scratch: 0,
            waits_in_read: false,
            // A connection that never sends needs neither a buffer nor a timed wait.
            is_busy: false,
            seen_state: RunState::Serving,
            relief: None,
            release_announced: false,
            jobs_at_turn_start: 0,
            socket,
            reported: PollFlags::empty(),
        });
        (thread, access)
    }
}

impl ConnectionThread {
    /// Runs a connection from its open to its close. A connection that other threads reach is not
    /// locked during a wait. Before the wait this thread looks into the inbox, because senders that
    /// found the connection locked have left their output there.
    #[inline(never)]
    fn run(&mut self, access: &mut ConnectionAccess, opening: Option<Sender<()>>) {
        access.with(|conn| self.open(conn));
        drop(opening);
        loop {
            match access.with(|conn| self.run_turn(conn)) {
                TurnOutcome::Finish => break,
                TurnOutcome::RunJob => {
                    if let Some(wait) = self.run_job(access) {
                        self.wait(&wait);
                    }
                }
                TurnOutcome::Wait(wait) if !self.own.has_pending() => self.wait(&wait),
                TurnOutcome::Wait(_) | TurnOutcome::RunAgain => {}
            }
        }
        access.with(|conn| self.finish(conn));
    }

    /// Runs one job. Returns a wait that does not block if another job waits. Otherwise a
    /// connection whose jobs always offload further jobs would never read, write or close.
    pub(super) fn run_job(&mut self, access: &mut ConnectionAccess) -> Option<SocketWait> {
        let job = self.worker.jobs.pop_front()?;
        let result = match self.own.service_slot.job_semaphore.as_ref().map(Semaphore::acquire) {
            _ if self.own.service_slot.is_closed() => job.reject(&mut self.worker.context.stats),
            Some(None) => job.reject(&mut self.worker.context.stats),
            Some(Some(_permit)) => job.run(&self.worker.shared.jobs),
            None => job.run(&self.worker.shared.jobs),
        };
        access.with(|conn| {
            self.handle_job_result(conn, result);
            self.next_poll(conn)
        })
    }

    /// Shuts the socket down. The connection is over, and the peer must not wait for this thread's
    /// jobs.
    pub(super) fn shut_down(&self) {
        self.socket.shut_down();
    }

    fn wait(&mut self, wait: &SocketWait) {
        let Some(time) = self.begin_wait(wait) else { return };
        let inbox = self.own.notifier();
        let change = self.worker.shared.lifecycle.change_notifier(self.seen_state);
        let on_socket = wait.on_socket.then(|| PollFd::from_borrowed_fd(self.socket.as_fd(), wait.events));
        let mut poll_fds = [
            on_socket.unwrap_or_else(|| PollFd::new(change, PollFlags::empty())),
            PollFd::new(change, PollFlags::IN),
            poll_notifier(inbox, &*self.socket),
            poll_notifier(self.relief.as_deref(), &*self.socket),
        ];
        let count = if self.relief.is_some() { 4 } else { 2 + usize::from(inbox.is_some()) };
        poll(poll_fds.get_mut(..count).unwrap_or_default(), time.timeout);
        let [socket, _, inbox, relief] = poll_fds.each_ref().map(PollFd::revents);
        self.end_wait(&time, socket, inbox.contains(PollFlags::IN), relief.contains(PollFlags::IN));
    }

    /// Returns the time of a wait in poll(2); `None` if the next read is the wait.
    pub(super) fn begin_wait(&mut self, wait: &SocketWait) -> Option<PollTime> {
        let timeout = wait.deadline.map(|at| at.saturating_since(self.worker.context.clock.timestamp));
        if !self.is_busy || self.worker.shared.memory.is_over_limit() {
            self.free_buffers();
        } else if timeout.is_none_or(|time| time > READ_TIMEOUT) {
            if self.own.shared_conn.is_none() && wait.in_read && !wait.events.contains(PollFlags::OUT) {
                self.waits_in_read = true;
                return None;
            }
            // A busy thread keeps its buffers until it has received nothing for `READ_TIMEOUT`.
            return Some(PollTime { timeout: Some(READ_TIMEOUT), until_idle: true });
        }
        Some(PollTime { timeout, until_idle: false })
    }

    /// Notes the events of the socket, and if the inbox and the relief were signaled.
    pub(super) fn end_wait(&mut self, time: &PollTime, socket: PollFlags, inbox: bool, relief: bool) {
        if let Some(shared_conn) = self.own.shared_conn.as_ref().filter(|_| inbox) {
            shared_conn.notifier.clear();
        }
        if relief {
            self.relief = None;
        }
        self.reported = socket;
        self.is_busy &= !time.until_idle || !socket.is_empty();
        self.worker.read_clock();
    }

    /// Passes the readiness that the last wait reported to the connection.
    pub(super) fn mark_ready(&mut self, conn: &mut Connection<ConnStream>) {
        let reported = std::mem::replace(&mut self.reported, PollFlags::empty());
        let broken = PollFlags::HUP | PollFlags::ERR;
        let eof = reported.intersects(broken | PEER_END);
        // A wait in the read reports nothing about the socket: the read finds out.
        let readable = eof || reported.contains(PollFlags::IN) || self.waits_in_read;
        let readiness = Readiness { readable, writable: reported.intersects(PollFlags::OUT | broken) };
        conn.mark_ready(readiness, if eof { PeerEnd::Reported } else { PeerEnd::Open });
    }
}

/// Returns an entry that polls a notifier. Without a notifier, the entry is the connection's socket
/// with no events.
fn poll_notifier<'a>(notifier: Option<&'a Notifier>, socket: &'a dyn ConnSocket) -> PollFd<'a> {
    match notifier {
        Some(notifier) => PollFd::new(notifier, PollFlags::IN),
        None => PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty()),
    }
}
