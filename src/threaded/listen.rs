//! The threads of the listeners, one each. A listener's thread accepts connections and starts a
//! thread for each, or rejects them with the reason. Nothing that a peer, `accept` or a failed
//! thread start does ends the engine.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::connection_thread::PendingConnection;
use super::control_thread::DISCARD_BUFFER_BYTES;
use super::lifecycle::WaitGuard;
use super::service_slot::ServiceSlot;
use super::shared::EngineShared;
use super::socket::{ConnSocket, ConnStream, Listener, poll};
use super::worker::Worker;
use crate::connection::{Connection, Phase};
use crate::frame::Framing;
use crate::net::Notifier;
use crate::service::{CloseReason, Peer};

/// The thread of one listener.
pub(super) struct AcceptThread {
    worker: Worker,
    listener: Box<dyn Listener>,
    framing: Framing,
    service_slot: Arc<ServiceSlot>,
    number: usize,
    /// The notifier of the next connection, created in advance.
    notifier: Option<Notifier>,
    /// The last try to accept found no descriptor.
    is_starved: bool,
    /// Nor did the one before it, so it stays this listener's turn.
    keeps_turn: bool,
    /// The failure to accept is logged. It is logged again after accepting has succeeded.
    accept_failure_logged: bool,
    /// Dropped after the listener is closed: fields are dropped in order of declaration.
    _wait_guard: WaitGuard,
}

/// The result of a try to accept: what the thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextAccept {
    /// Accept the next connection.
    Again,
    /// Wait for a connection.
    Wait,
    /// Wait until a descriptor may be free.
    Pause,
}

impl AcceptThread {
    pub(super) fn new(
        shared: Arc<EngineShared>,
        listener: Box<dyn Listener>,
        framing: Framing,
        service_slot: Arc<ServiceSlot>,
        number: usize,
    ) -> Self {
        let (thread_stats, wait_guard) = (shared.routes.add_engine_thread(), shared.accepting.threads.enter());
        Self {
            worker: Worker::new(shared, thread_stats),
            listener,
            framing,
            service_slot,
            number,
            notifier: None,
            is_starved: false,
            keeps_turn: false,
            accept_failure_logged: false,
            _wait_guard: wait_guard,
        }
    }

    /// Accepts until the engine ends accepting or the service is stopped. Then the listener is
    /// closed.
    pub(super) fn run(mut self) {
        while !self.worker.shared.accepting.is_stopped() && !self.service_slot.is_closed() {
            self.worker.publish();
            match self.accept() {
                NextAccept::Again => {}
                NextAccept::Wait => self.wait_for_connection(),
                NextAccept::Pause => self.worker.shared.accepting.pause(self.number, self.keeps_turn),
            }
        }
        if self.note_served() {
            self.worker.shared.accepting.resume();
        }
        self.worker.publish();
    }

    /// Accepts one connection and starts its thread, or rejects it.
    pub(super) fn accept(&mut self) -> NextAccept {
        // Before accepting: a connection without a notifier would have to be rejected.
        if let Err(error) = self.prepare_notifier() {
            self.wait_for_connection();
            self.note_failure(&error);
            return NextAccept::Pause;
        }
        match self.listener.accept() {
            Ok((socket, peer)) => {
                let others_wait = self.note_served();
                self.worker.read_clock();
                self.admit(socket, peer);
                if others_wait {
                    // While descriptors are short, each listener accepts one, then the next does.
                    (self.is_starved, self.keeps_turn) = (true, false);
                    return NextAccept::Pause;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.note_served();
                if std::mem::take(&mut self.accept_failure_logged) {
                    // The descriptor that this listener was woken for is still free.
                    self.worker.shared.accepting.resume();
                }
                return NextAccept::Wait;
            }
            // The peer closed or reset before it was accepted. Accept the next one.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
            // Descriptors or kernel memory have run out, or the network is down (accept(2)).
            // Retrying at once would only keep the processor busy.
            Err(error) => {
                self.note_failure(&error);
                return NextAccept::Pause;
            }
        }
        NextAccept::Again
    }

    fn wait_for_connection(&self) {
        let connection = PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN);
        let ends = [&self.worker.shared.accepting.stop, &self.service_slot.stop];
        let [accepting, service] = ends.map(|end| PollFd::new(end, PollFlags::IN));
        poll(&mut [connection, accepting, service], None);
    }

    /// Creates the next connection's notifier, if its service is shared.
    fn prepare_notifier(&mut self) -> io::Result<()> {
        if self.notifier.is_none() && self.service_slot.per_connection.is_none() {
            self.notifier = Some(Notifier::new()?);
        }
        Ok(())
    }

    /// Notes that this listener waits for no descriptor. Returns true if it did, and others do.
    fn note_served(&mut self) -> bool {
        std::mem::take(&mut self.is_starved) && self.worker.shared.accepting.note_served(self.number)
    }

    fn note_failure(&mut self, error: &io::Error) {
        self.keeps_turn = std::mem::replace(&mut self.is_starved, true);
        self.worker.context.stats.accept_pauses += 1;
        self.worker.publish();
        // Retries that fail in the same way are logged at debug level only.
        let logged = std::mem::replace(&mut self.accept_failure_logged, true);
        self.worker.context.warn_of_accept_pause(&self.service_slot.name, error, logged);
    }

    fn admit(&mut self, socket: Arc<dyn ConnSocket>, peer: Peer) {
        let shared = Arc::clone(&self.worker.shared);
        let service = self.service_slot.id;
        let rejection = if let Err(reason) = shared.slots.acquire(&peer, service) {
            reason
        } else if let Some(reason) = shared.memory.rejection(&peer, self.worker.context.clock.timestamp) {
            shared.slots.release(false, &peer, service);
            reason
        } else if let Err(error) = self.start_connection(&socket, peer) {
            shared.slots.release(false, &peer, service);
            let name = &self.service_slot.name;
            self.worker.context.warn(
                name,
                "thread start failed",
                format_args!("thread start failed: {error}; rejecting {name} {peer}"),
            );
            CloseReason::NoThread
        } else {
            self.worker.context.stats.accepted += 1;
            self.worker.publish();
            return;
        };
        self.reject(socket, peer, rejection);
    }

    /// Starts the thread of an accepted connection.
    fn start_connection(&mut self, socket: &Arc<dyn ConnSocket>, peer: Peer) -> io::Result<()> {
        let pending = PendingConnection {
            socket: Arc::clone(socket),
            peer,
            framing: self.framing,
            notifier: self.notifier.take(),
            has_read_timeout: self.listener.has_read_timeout(),
            opening: None,
        };
        pending.start(&self.worker.shared, &self.service_slot, self.worker.context.clock.timestamp)
    }

    /// Rejects a pending connection: sends it the reason and closes it, without any callback.
    fn reject(&mut self, socket: Arc<dyn ConnSocket>, peer: Peer, reason: CloseReason) {
        let shared = Arc::clone(&self.worker.shared);
        self.worker.context.note_rejection(&self.service_slot.name, &peer, &reason);
        self.worker.publish();
        let now = self.worker.context.clock.timestamp;
        let mut conn =
            Connection::new(ConnStream::new(socket), peer, self.service_slot.id, self.framing, &shared.limits, now);
        let (reply, context) = (self.service_slot.rejection, &mut self.worker.context);
        if shared.rejected.is_full() {
            conn.reject_at_once(reason, reply, &mut [0; DISCARD_BUFFER_BYTES], context);
            return;
        }
        conn.reject(reason, reply, context);
        if conn.phase() == Phase::Closed {
            return;
        }
        // The connection has no thread, so the control thread flushes and closes it.
        shared.rejected.add(conn);
        shared.control.notify();
    }
}
