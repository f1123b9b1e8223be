//! The thread of one listener. It accepts connections and starts a thread for each, or rejects them
//! with the reason. Nothing that a peer, `accept` or a failed thread start does ends the engine.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags};

use super::listener::Listener;
use super::pending_connection::PendingConnection;
use super::service_slot::ServiceSlot;
use super::shared::{EngineShared, lock};
use super::socket::{ConnStream, ThreadSocket, poll};
use super::wait_group::WaitGuard;
use super::worker::Worker;
use crate::connection::{Connection, Phase};
use crate::engine::limits::{ACCEPT_PAUSE, MAX_REJECTED_OPEN};
use crate::frame::Framing;
use crate::net::Notifier;
use crate::service::CloseReason;
use crate::service::Peer;

/// The thread of one listener.
pub(super) struct AcceptThread {
    worker: Worker,
    listener: Listener,
    framing: Framing,
    service_slot: Arc<ServiceSlot>,
    number: usize,
    /// The notifier of the next connection, created in advance.
    notifier: Option<Notifier>,
    /// The failure to accept is logged. It is logged again after accepting has succeeded.
    accept_failure_logged: bool,
    /// The failure to start a thread is logged.
    thread_failure_logged: bool,
    /// Dropped after the listener is closed: fields are dropped in order of declaration.
    _wait_guard: WaitGuard,
}

impl AcceptThread {
    pub(super) fn new(
        shared: Arc<EngineShared>,
        listener: Listener,
        framing: Framing,
        service_slot: Arc<ServiceSlot>,
        number: usize,
    ) -> Self {
        let (thread_stats, wait_guard) = (shared.register_engine_thread(), shared.accept_threads.enter());
        let worker = Worker::new(shared, thread_stats);
        let (notifier, accept_failure_logged, thread_failure_logged) = (None, false, false);
        Self {
            worker,
            listener,
            framing,
            service_slot,
            number,
            notifier,
            accept_failure_logged,
            thread_failure_logged,
            _wait_guard: wait_guard,
        }
    }

    /// Accepts until the engine ends accepting. Then the listener is closed.
    pub(super) fn run(mut self) {
        while !self.worker.shared.accepting_stopped() {
            self.worker.publish();
            // Before accepting: a connection without a notifier would have to be rejected.
            if let Err(error) = self.prepare_notifier() {
                self.wait_for_connection();
                self.pause_accepting(&error);
                continue;
            }
            match self.listener.accept() {
                Ok((socket, peer)) => {
                    self.worker.read_clock();
                    self.admit(Arc::new(socket), peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accept_failure_logged = false;
                    self.wait_for_connection();
                }
                // The peer closed or reset before it was accepted. Accept the next one.
                Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
                // Descriptors or kernel memory have run out, or the network is down (accept(2)).
                // Retrying at once would only keep the processor busy.
                Err(error) => self.pause_accepting(&error),
            }
        }
        self.worker.publish();
    }

    fn wait_for_connection(&self) {
        let change = PollFd::new(&self.worker.shared.accept_stop, PollFlags::IN);
        poll(&mut [PollFd::new(&self.listener, PollFlags::IN), change], None);
    }

    /// Creates the next connection's notifier, if its service is shared.
    fn prepare_notifier(&mut self) -> io::Result<()> {
        if self.notifier.is_none() && self.service_slot.per_connection.is_none() {
            self.notifier = Some(Notifier::new()?);
        }
        Ok(())
    }

    fn pause_accepting(&mut self, error: &io::Error) {
        self.worker.context.stats.accept_pauses += 1;
        self.worker.publish();
        // Retries that fail in the same way are logged at debug level only.
        let logged = std::mem::replace(&mut self.accept_failure_logged, true);
        let level = if logged { log::Level::Debug } else { log::Level::Warn };
        log::log!(
            level,
            "accept failed: {error}; {} pauses accepting for {ACCEPT_PAUSE:?} or until a connection closes",
            self.service_slot.name
        );
        let shared = &self.worker.shared;
        let change = PollFd::new(&shared.accept_stop, PollFlags::IN);
        let Some(notifier) = shared.accept_retry.get(self.number) else { return };
        shared.paused_listeners.fetch_add(1, Ordering::AcqRel);
        poll(&mut [change, PollFd::new(notifier, PollFlags::IN)], Some(ACCEPT_PAUSE));
        shared.paused_listeners.fetch_sub(1, Ordering::AcqRel);
        notifier.clear();
    }

    fn admit(&mut self, socket: Arc<ThreadSocket>, peer: Peer) {
        let shared = Arc::clone(&self.worker.shared);
        let limits = &shared.limits;
        let rejection = if !shared.connection_slots.acquire() {
            CloseReason::MaxConnections(limits.max_connections)
        } else if let Some(reason) = shared.memory.rejection() {
            shared.connection_slots.release(false, peer);
            reason
        } else if let Err(error) = self.start_connection(&socket, peer) {
            shared.connection_slots.release(false, peer);
            let level = if self.thread_failure_logged { log::Level::Debug } else { log::Level::Warn };
            self.thread_failure_logged = true;
            log::log!(level, "thread start failed: {error}; rejecting {} {peer}", self.service_slot.name);
            CloseReason::NoThread
        } else {
            shared.is_rejecting.store(false, Ordering::Relaxed);
            self.thread_failure_logged = false;
            self.worker.context.stats.accepted += 1;
            self.worker.publish();
            return;
        };
        self.reject(socket, peer, rejection);
    }

    /// Starts the thread of an accepted connection.
    fn start_connection(&mut self, socket: &Arc<ThreadSocket>, peer: Peer) -> io::Result<()> {
        let pending = PendingConnection {
            socket: Arc::clone(socket),
            peer,
            framing: self.framing,
            notifier: self.notifier.take(),
            has_read_timeout: self.listener.sets_read_timeout(),
        };
        pending.start(&self.worker.shared, &self.service_slot, self.worker.context.clock.timestamp)
    }

    /// Rejects a pending connection: sends it the reason and closes it, without any callback.
    fn reject(&mut self, socket: Arc<ThreadSocket>, peer: Peer, reason: CloseReason) {
        let shared = Arc::clone(&self.worker.shared);
        self.worker.context.stats.refused += 1;
        self.worker.publish();
        if shared.open_rejected.load(Ordering::Relaxed) >= MAX_REJECTED_OPEN {
            return;
        }
        let logged = shared.is_rejecting.swap(true, Ordering::Relaxed);
        let level = if logged { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "{} {peer} rejected: {reason}", self.service_slot.name);
        let now = self.worker.context.clock.timestamp;
        let mut conn =
            Connection::new(ConnStream::new(socket), peer, self.service_slot.id, self.framing, &shared.limits, now);
        conn.reject(reason, self.service_slot.rejection, &mut self.worker.context);
        if conn.phase() == Phase::Closed {
            return;
        }
        // The connection has no thread, so the control thread flushes and closes it.
        shared.open_rejected.fetch_add(1, Ordering::Relaxed);
        lock(&shared.rejected).push(conn);
        shared.control.notify();
    }
}
