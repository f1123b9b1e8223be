//! All connections as a whole: the way to each of them, their counters, and those that were
//! rejected.
//!
//! Each thread writes only its own block of counters, with plain stores. So no message costs a
//! locked instruction or a cache line that another processor uses.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::held_memory::HeldMemory;
use super::lifecycle::lock;
use super::shared_connection::SharedConnection;
use super::socket::{ConnSocket, ConnStream};
use crate::connection::{Connection, WorkerContext};
use crate::engine::memory::MemoryPolicy;
use crate::engine::setup::max_rejected_open;
use crate::engine::slab::GenerationalSlab;
use crate::engine::stats::Stats;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, ServiceId};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// The table of open connections, and the counters of all threads.
pub(super) struct Routes {
    table: RwLock<GenerationalSlab<Route>>,
    /// Counters of the connection threads that have ended.
    ended_stats: Mutex<Stats>,
    /// Counters of the threads without a connection.
    engine_stats: Mutex<Vec<Arc<ThreadStats>>>,
}

/// The entry of a connection in the table.
pub(super) struct Route {
    pub(super) thread_stats: Arc<ThreadStats>,
    pub(super) reachability: Reachability,
    pub(super) peer: Peer,
    pub(super) service: ServiceId,
}

pub(super) enum Reachability {
    /// Only its own thread uses the connection. Other threads shut the socket down to wake that
    /// thread.
    Private(Arc<dyn ConnSocket>),
    Shared(Arc<SharedConnection>),
}

/// A connection that other threads reach, and its thread's counters.
pub(super) struct SharedRoute {
    pub(super) conn: Arc<SharedConnection>,
    thread_stats: Arc<ThreadStats>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            table: RwLock::new(GenerationalSlab::new()),
            ended_stats: Mutex::default(),
            engine_stats: Mutex::default(),
        }
    }

    pub(super) fn add(&self, route: Route) -> ConnId {
        ConnId(self.table.write().unwrap_or_else(PoisonError::into_inner).insert(route))
    }

    /// Removes a connection and adds its counters to those of ended threads. Holds the table's
    /// lock, so that a reader of the counters sees both changes or neither.
    pub(super) fn remove(&self, id: ConnId, thread_stats: &ThreadStats) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.remove(id.0);
        thread_stats.add_to(&mut lock(&self.ended_stats));
    }

    /// Adds the connections with these ids to `into`, under one lock of the table. Leaves out
    /// those that have closed and those that belong to their threads alone.
    pub(super) fn find(&self, ids: impl Iterator<Item = ConnId>, into: &mut Vec<SharedRoute>) {
        let table = self.read();
        into.extend(ids.filter_map(|id| {
            let Route { thread_stats, reachability, .. } = table.get(id.0)?;
            let Reachability::Shared(conn) = reachability else { return None };
            Some(SharedRoute { conn: Arc::clone(conn), thread_stats: Arc::clone(thread_stats) })
        }));
    }

    /// Moves the thread's counts by cause to those of all threads. Connections end and are rejected
    /// seldom, so these counts need no place of their own in each thread.
    pub(super) fn count_causes(&self, stats: &mut Stats) {
        let mut sum = lock(&self.ended_stats);
        sum.ends.append(&mut stats.ends);
        sum.refusals.append(&mut stats.refusals);
    }

    /// Counts a console that has become a connection.
    pub(super) fn count_console(&self) {
        lock(&self.ended_stats).accepted += 1;
    }

    /// Returns new counters for a thread without a connection.
    pub(super) fn add_engine_thread(&self) -> Arc<ThreadStats> {
        let thread_stats = Arc::new(ThreadStats::default());
        lock(&self.engine_stats).push(Arc::clone(&thread_stats));
        thread_stats
    }

    /// Returns the sum of the counters of all threads, running and ended.
    pub(super) fn stats(&self) -> Stats {
        let table = self.read();
        let mut sum = lock(&self.ended_stats).clone();
        table.iter().for_each(|(_, route)| route.thread_stats.add_to(&mut sum));
        lock(&self.engine_stats).iter().for_each(|thread_stats| thread_stats.add_to(&mut sum));
        sum
    }

    /// Asks the largest holders to close, see [`MemoryPolicy`]. Consoles are spared.
    pub(super) fn close_largest(&self, memory: &HeldMemory, now: Timestamp) {
        let table = self.read();
        let clients = table.iter().filter(|(_, route)| route.peer != Peer::Console);
        let held = |route: &Route| route.thread_stats.held_bytes.load(Ordering::Relaxed);
        let mut left = memory.sum();
        let share = memory.policy.share_bytes(table.len());
        for (held, route) in MemoryPolicy::largest_first(clients.map(|(_, route)| (held(route), route))) {
            if held <= share || memory.policy.is_relieved(left) {
                break;
            }
            left = left.saturating_sub(held as u64);
            memory.note_closed(&route.peer, now);
            route.thread_stats.must_close.store(true, Ordering::Release);
            match &route.reachability {
                Reachability::Shared(conn) => conn.notifier.notify(),
                // A thread that waits in its read can be woken only through its socket.
                Reachability::Private(socket) => socket.shut_down_read(),
            }
        }
    }

    /// Wakes the threads of a service's connections that other threads reach. Those with an
    /// instance wait for the service's own notifier, or for at most the time of one read.
    pub(super) fn wake_all_of(&self, service: ServiceId) {
        for (_, route) in self.read().iter().filter(|(_, route)| route.service == service) {
            if let Reachability::Shared(conn) = &route.reachability {
                conn.notifier.notify();
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, GenerationalSlab<Route>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedRoute {
    /// Writes the connection's inbox, see [`SharedConnection::deliver`].
    pub(super) fn deliver(&self, context: &mut WorkerContext, memory: &HeldMemory) {
        self.conn.deliver(context, |conn| memory.recount(conn, &self.thread_stats.held_bytes));
    }
}

/// The counters of one thread. Aligned to two cache lines, because processors prefetch lines in
/// pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct ThreadStats {
    counters: [AtomicU64; Stats::COUNTERS],
    /// Bytes that the thread's connection holds.
    pub(super) held_bytes: AtomicUsize,
    /// The thread's connection has to close, because it holds most memory.
    pub(super) must_close: AtomicBool,
}

impl ThreadStats {
    /// Publishes the thread's counters for other threads to read.
    #[inline]
    pub(super) fn publish(&self, stats: &mut Stats) {
        for (published, counter) in self.counters.iter().zip(stats.counters()) {
            published.store(*counter, Ordering::Relaxed);
        }
    }

    pub(super) fn add_to(&self, sum: &mut Stats) {
        for (published, counter) in self.counters.iter().zip(sum.counters()) {
            *counter += published.load(Ordering::Relaxed);
        }
    }
}

/// Rejected connections that still receive the reason. They have no thread: the control thread
/// flushes and closes them.
#[derive(Default)]
pub(super) struct RejectedConnections {
    /// Those that the control thread has not taken yet.
    added: Mutex<Vec<Connection<ConnStream>>>,
    /// The number of those that are not closed yet.
    open: AtomicUsize,
}

impl RejectedConnections {
    /// Returns true if as many are open as allowed. Further connections are closed without a
    /// reason.
    pub(super) fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= max_rejected_open()
    }

    pub(super) fn add(&self, conn: Connection<ConnStream>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        lock(&self.added).push(conn);
    }

    /// Moves the connections added since the last call to `conns`.
    pub(super) fn take_added(&self, conns: &mut Vec<Connection<ConnStream>>) {
        conns.append(&mut lock(&self.added));
    }

    /// Notes that `count` of them have closed.
    pub(super) fn note_closed(&self, count: usize) {
        self.open.fetch_sub(count, Ordering::Relaxed);
    }
}
