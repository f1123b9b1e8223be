//! The loop over a scripted driver with one service, for the fuzz targets. Each turn is followed by
//! the checks of [`scripted_check`](super::scripted_check).

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a fuzz target reports a fault")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::driver::{Source, SourceKind};
use super::event_loop::EventLoop;
use super::scripted_check;
use super::scripted_driver::{DriverScript, ScriptedDriver};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::handle::Handle;
use crate::engine::jobs::WakeFn;
use crate::engine::limits::Limits;
use crate::engine::setup::EngineSetup;
use crate::frame::Framing;
use crate::service::{Service, ServiceId, ServiceOptions};

/// The number of turns after which a loop that still has work counts as spinning.
const MAX_TURNS: usize = 20_000;

const LISTENER: usize = 0;
const UDP: usize = 1;

/// A running loop with a listener and a UDP socket, a clock that stands still, and no threads.
pub(crate) struct ScriptedLoop {
    event_loop: EventLoop<ScriptedDriver>,
    script: DriverScript,
    handle: Handle,
    woken: Arc<AtomicBool>,
}

impl ScriptedLoop {
    pub(crate) fn new(
        limits: Limits,
        framing: Framing,
        options: ServiceOptions,
        service: impl Service + Send + 'static,
    ) -> Self {
        let source = |kind| Source { kind, service: ServiceId(0) };
        let udp = SourceKind::Udp { local: ([127, 0, 0, 1], 1).into() };
        let woken = Arc::new(AtomicBool::new(false));
        let script = DriverScript::new(&[source(SourceKind::Listener(framing)), source(udp)], Arc::clone(&woken));
        let wake: WakeFn = {
            let woken = Arc::clone(&woken);
            Arc::new(move || woken.store(true, Ordering::Relaxed))
        };
        let mut setup = EngineSetup::new(limits, Arc::clone(&wake)).expect("the limits are valid");
        setup.add_service(options, service);
        let handle = setup.handle.clone();
        let mut event_loop = EventLoop::new(script.driver(), setup, &wake);
        event_loop.shared.threads.job_pools.remove_threads();
        Self { event_loop, script, handle, woken }
    }

    /// Connects a client from `addr`, which is served at the next turn.
    pub(crate) fn connect(&self, addr: SocketAddr) -> ScriptedSocket {
        self.script.connect_from(LISTENER, addr)
    }

    /// Lets a datagram arrive.
    pub(crate) fn datagram(&self, from: SocketAddr, payload: &[u8]) {
        self.script.datagram(UDP, from, payload);
    }

    /// Returns all datagrams sent.
    pub(crate) fn sent_datagrams(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.script.sent(UDP)
    }

    /// Makes the next poll report this readiness of a client's socket.
    pub(crate) fn report(&self, socket: &ScriptedSocket, readable: bool, writable: bool) {
        if let Some(key) = self.script.key_of(socket) {
            self.script.report(key, readable, writable, false);
        }
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.script.advance(time);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.event_loop.is_running()
    }

    /// Tells the loop to drain, with its next turn.
    pub(crate) fn drain(&self) {
        self.handle.drain();
    }

    /// Runs one turn and checks the invariants.
    pub(crate) fn turn(&mut self) {
        if !self.is_running() {
            return;
        }
        self.event_loop.run_turn().expect("the scripted poll does not fail");
        if let Err(violation) = scripted_check::after_turn(&self.event_loop, &self.script) {
            panic!("{violation}");
        }
        assert_eq!(self.event_loop.shared.worker.stats.panics, 0, "a callback panicked");
    }

    /// Runs turns and jobs until the loop would sleep without either.
    pub(crate) fn run_until_idle(&mut self) {
        for _ in 0..MAX_TURNS {
            self.turn();
            if !self.is_running() {
                return;
            }
            let polled = self.script.last_poll();
            let is_over = polled.events == 0 && polled.timeout != Some(Duration::ZERO);
            if is_over && !self.woken.load(Ordering::Relaxed) && !self.script.owes_events() {
                if let Err(violation) = scripted_check::when_idle(&self.event_loop, polled.timeout) {
                    panic!("{violation}");
                }
                if !self.event_loop.shared.threads.job_pools.run_queued(0) {
                    return;
                }
            }
        }
        panic!("the loop spins: {}", self.event_loop.shared.worker.stats);
    }

    /// Lets every client read all of its output and close, and drains the loop. Nothing is left
    /// then.
    pub(crate) fn finish(&mut self, sockets: &[ScriptedSocket]) {
        for socket in sockets {
            socket.clear_script();
            socket.set_room(usize::MAX);
        }
        self.run_until_idle();
        sockets.iter().for_each(ScriptedSocket::finish);
        self.run_until_idle();
        self.drain();
        self.run_until_idle();
        if self.is_running() {
            self.advance(self.event_loop.shared.worker.limits.drain_timeout);
            self.run_until_idle();
        }
        assert!(!self.is_running(), "the drain does not end: {}", self.event_loop.shared.worker.stats);
        self.event_loop.close_all();
        let stats = &self.event_loop.shared.worker.stats;
        assert_eq!((stats.open, stats.buffered_bytes, stats.panics), (0, 0, 0), "something is left: {stats}");
        assert_eq!(stats.accepted, stats.closed + stats.faulted, "each connection ends once: {stats}");
        assert_eq!(self.event_loop.shared.timers.of_connections(), 0, "a timer is left");
    }
}
