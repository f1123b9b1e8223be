//! An accepted socket or a console, until its thread runs. The caller takes the connection slot.
//! The thread releases it when the connection is over.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::connection_thread::ConnectionThread;
use super::service_slot::ServiceSlot;
use super::shared::{EngineShared, Reachability, Route};
use super::shared_connection::SharedConnection;
use super::socket::{ConnStream, ThreadSocket};
use super::thread_stats::ThreadStats;
use crate::connection::Connection;
use crate::frame::Framing;
use crate::net::Notifier;
use crate::service::Peer;
use crate::service::time::Timestamp;

/// A connection with a slot and without a thread.
pub(super) struct PendingConnection {
    pub(super) socket: Arc<ThreadSocket>,
    pub(super) peer: Peer,
    pub(super) framing: Framing,
    /// The connection's notifier, if its service is shared and the notifier exists.
    pub(super) notifier: Option<Notifier>,
    /// True if the socket has the read timeout already.
    pub(super) has_read_timeout: bool,
}

/// The connection, as its thread uses it.
enum ConnectionAccess {
    Private(Box<Connection<ConnStream>>),
    Shared(Arc<SharedConnection>),
}

impl PendingConnection {
    pub(super) fn start(
        self,
        shared: &Arc<EngineShared>,
        service_slot: &Arc<ServiceSlot>,
        now: Timestamp,
    ) -> io::Result<()> {
        let Self { socket, peer, framing, notifier, has_read_timeout } = self;
        let service_slot = Arc::clone(service_slot);
        let instance = service_slot.per_connection.as_ref().map(|factory| factory());
        let stream = ConnStream::new(Arc::clone(&socket));
        let conn = Connection::new(stream, peer, service_slot.id, framing, &shared.limits, now);
        let thread_stats = Arc::new(ThreadStats::default());
        let (reachability, access) = if instance.is_some() {
            if !has_read_timeout {
                socket.set_read_timeout()?;
            }
            (Reachability::Private(Arc::clone(&socket)), ConnectionAccess::Private(Box::new(conn)))
        } else {
            let shared_conn = Arc::new(SharedConnection::new(conn, notifier.map_or_else(Notifier::new, Ok)?));
            (Reachability::Shared(Arc::clone(&shared_conn)), ConnectionAccess::Shared(shared_conn))
        };
        let id = shared.register(Route { thread_stats: Arc::clone(&thread_stats), reachability, peer });
        let wait_guard = shared.threads.enter();
        let thread_shared = Arc::clone(shared);
        let task = move || {
            let shared = thread_shared;
            let shared_conn =
                if let ConnectionAccess::Shared(shared_conn) = &access { Some(Arc::clone(shared_conn)) } else { None };
            let result = catch_unwind(AssertUnwindSafe(|| {
                let shared_and_stats = (Arc::clone(&shared), Arc::clone(&thread_stats));
                let mut thread =
                    ConnectionThread::new(shared_and_stats, id, &service_slot, instance, socket, shared_conn);
                match access {
                    ConnectionAccess::Private(mut conn) => thread.run_private(&mut conn, &peer),
                    ConnectionAccess::Shared(shared_conn) => thread.run_shared(&shared_conn, &peer),
                }
                thread.release_announced
            }));
            let release_announced = result.unwrap_or_else(|panic| {
                shared.fail(panic);
                false
            });
            // The connection is dropped, so the socket is closed or the last deliverer closes it.
            shared.deregister(id, &thread_stats);
            shared.connection_slots.release(release_announced, peer);
            shared.resume_accepting();
            drop(shared);
            drop(wait_guard);
        };
        let name = format!("conn-{}", shared.next_thread_number());
        shared.spawner.spawn(name, Box::new(task)).inspect_err(|_| {
            shared.deregister(id, &ThreadStats::default());
        })
    }
}
