//! The threads of the bound sockets, one each.
//!
//! A listener's thread accepts connections and starts a thread for each, or rejects them with the
//! reason. Nothing that a peer, `accept` or a failed thread start does ends the engine. A UDP
//! socket's thread waits for a datagram, receives all that are there, and sends the replies in one
//! batch. While replies wait for the socket, it receives nothing.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::connection_thread::PendingConnection;
use super::control_thread::DISCARD_BUFFER_BYTES;
use super::lifecycle::WaitGuard;
use super::shared::{EngineShared, ServiceSlot};
use super::socket::{ConnSocket, ConnStream, Listener, UdpBinding, poll};
use super::worker::Worker;
use crate::connection::{Connection, Phase};
use crate::engine::datagram_limit::DatagramLimit;
use crate::engine::lag::Work;
use crate::engine::run_state::RunState;
use crate::frame::Framing;
use crate::net::Notifier;
use crate::net::udp_batch::{ReceiveBatch, SendBatch, UdpBatchIo, claims_to_be};
use crate::service::context::{Context, ReplyTo};
use crate::service::{CloseReason, ConnId, Peer};

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
            accept_failure_logged: false,
            _wait_guard: wait_guard,
        }
    }

    /// Accepts until the engine ends accepting. Then the listener is closed.
    pub(super) fn run(mut self) {
        while !self.worker.shared.accepting.is_stopped() {
            self.worker.publish();
            match self.accept() {
                NextAccept::Again => {}
                NextAccept::Wait => self.wait_for_connection(),
                NextAccept::Pause => self.worker.shared.accepting.pause(self.number),
            }
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
                self.note_served();
                self.worker.read_clock();
                self.admit(socket, peer);
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
        let stop = PollFd::new(&self.worker.shared.accepting.stop, PollFlags::IN);
        poll(&mut [PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN), stop], None);
    }

    /// Creates the next connection's notifier, if its service is shared.
    fn prepare_notifier(&mut self) -> io::Result<()> {
        if self.notifier.is_none() && self.service_slot.per_connection.is_none() {
            self.notifier = Some(Notifier::new()?);
        }
        Ok(())
    }

    /// Notes that this listener waits for no descriptor.
    fn note_served(&mut self) {
        if std::mem::take(&mut self.is_starved) {
            self.worker.shared.accepting.note_served(self.number);
        }
    }

    fn note_failure(&mut self, error: &io::Error) {
        self.is_starved = true;
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
            let line = format_args!("thread start failed: {error}; rejecting {name} {peer}");
            self.worker.context.warn(name, "thread start failed", line);
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

/// The thread of one UDP socket.
pub(super) struct UdpThread {
    worker: Worker,
    service_slot: Arc<ServiceSlot>,
    number: usize,
    batch_io: UdpBatchIo,
    incoming: ReceiveBatch,
    outgoing: SendBatch,
    /// The limit on the datagrams of one source, if the service has one.
    limit: Option<DatagramLimit>,
}

impl UdpThread {
    pub(super) fn new(shared: Arc<EngineShared>, service_slot: Arc<ServiceSlot>, number: usize) -> Self {
        let limit = DatagramLimit::new(service_slot.answers_per_second);
        let thread_stats = shared.routes.add_engine_thread();
        let worker = Worker::new(shared, thread_stats);
        let (batch_io, incoming, outgoing) = (UdpBatchIo::new(), ReceiveBatch::new(), SendBatch::default());
        Self { worker, service_slot, number, batch_io, incoming, outgoing, limit }
    }

    /// Serves until the engine drains, then sends the queued datagrams until the engine stops.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.worker.shared);
        let Some(udp_binding) = shared.udp_bindings.get(self.number) else { return };
        loop {
            let state = shared.state();
            if state == RunState::Stopped || (state == RunState::Draining && self.outgoing.is_empty()) {
                break;
            }
            self.worker.publish();
            let events = if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            let change = PollFd::new(shared.lifecycle.change_notifier(state), PollFlags::IN);
            poll(&mut [PollFd::new(&udp_binding.socket, events), change], None);
            self.worker.read_clock();
            self.worker.context.stats.turns += 1;
            if !self.outgoing.is_empty() {
                self.send_datagrams(udp_binding);
            } else if shared.state() == RunState::Serving {
                self.receive(udp_binding);
            }
        }
        self.worker.publish();
    }

    fn receive(&mut self, udp_binding: &UdpBinding) {
        match self.batch_io.receive(&udp_binding.socket, &mut self.incoming) {
            Ok(count) => {
                self.worker.context.stats.datagrams_in += count as u64;
                self.dispatch_datagrams();
                self.send_datagrams(udp_binding);
                self.worker.deliver();
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            // A datagram sent earlier was not delivered (recv(2), ECONNREFUSED).
            Err(error) => log::debug!("datagram sent earlier was not delivered: {error}"),
        }
    }

    /// Calls `on_datagram` for each received datagram.
    fn dispatch_datagrams(&mut self) {
        let mut next = 0;
        while next < self.incoming.heads.len() {
            let Some(after) = self.dispatch_share(next) else { return };
            next = after;
        }
    }

    /// Calls `on_datagram` for datagrams from number `next` on, under one lock of the service, until
    /// the share is spent. Returns the number of the first one that is left; `None` once a callback
    /// has panicked.
    fn dispatch_share(&mut self, mut next: usize) -> Option<usize> {
        let service_slot = Arc::clone(&self.service_slot);
        let mut service = service_slot.lock()?;
        self.worker.begin_share();
        let began = self.worker.shared.system.now();
        let shared = Arc::clone(&self.worker.shared);
        while self.worker.has_time()
            && let Some((from, payload)) = self.incoming.get(next)
        {
            next += 1;
            self.worker.context.budget.count(1);
            let context = &mut self.worker.context;
            let is_own_address = shared.udp_bindings.iter().any(|binding| claims_to_be(from, binding.local));
            if !context.admit_datagram(&service_slot.name, from, is_own_address, self.limit.as_mut()) {
                continue;
            }
            let reply_to = ReplyTo::Datagram { batch: &mut self.outgoing, from };
            let mut cx =
                Context { conn: ConnId::NONE, clock: context.clock, reply_to, pending: &mut context.pending_actions };
            service.on_datagram(&mut cx, from, payload);
            self.worker.apply(self.service_slot.id, ConnId::NONE, None);
            self.queue_datagrams();
        }
        self.worker.run_turn_end(&mut service, self.service_slot.id, None);
        drop(service);
        self.worker.note_callbacks(began, Work::DATAGRAMS, &service_slot.name, None);
        self.queue_datagrams();
        Some(next)
    }

    /// Queues the callback's datagrams that this socket can send, in order. The others stay in the
    /// worker.
    fn queue_datagrams(&mut self) {
        let Some(is_ipv4) =
            self.worker.shared.udp_bindings.get(self.number).map(|udp_binding| udp_binding.local.is_ipv4())
        else {
            return;
        };
        let max_bytes = self.worker.context.limits.max_write_buffer_bytes;
        for (service, to, payload) in std::mem::take(&mut self.worker.datagrams) {
            if to.is_ipv4() != is_ipv4 {
                self.worker.datagrams.push((service, to, payload));
            } else if self.outgoing.is_full(max_bytes) || self.outgoing.push(to, &payload).is_err() {
                self.worker.context.stats.datagrams_dropped += 1;
            }
        }
    }

    /// Sends the queued datagrams, as far as the socket takes them.
    fn send_datagrams(&mut self, udp_binding: &UdpBinding) {
        let mut done = 0;
        while done < self.outgoing.len() {
            match self.batch_io.send(&udp_binding.socket, &self.outgoing, done) {
                Ok(count) => {
                    done += count;
                    self.worker.context.stats.datagrams_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // This datagram cannot be sent to its address or at its size (send(2), EMSGSIZE).
                // The others still can.
                Err(error) => {
                    log::debug!("datagram not sent: {error}");
                    done += 1;
                    self.worker.context.stats.datagrams_dropped += 1;
                }
            }
        }
        self.outgoing.remove_first(done);
        self.worker.context.stats.datagrams_dropped += self.outgoing.take_rejected();
    }
}
