//! The event loop over a scripted driver: the loop that serves, while a script decides each call.

#![allow(clippy::unchecked_time_subtraction, reason = "the times are constants")]

mod accept;
mod backpressure;
mod close;
mod console;
mod costs;
mod deadlines;
mod echo;
mod event_loop;
mod fairness;
mod jobs;
mod lag;
mod lateness;
mod memory;
mod property;
mod shutdown;
#[cfg(all(feature = "chat", feature = "classic"))]
mod sim;
mod stop;
mod timers;
mod turn_end;
mod udp;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::driver::{Source, SourceKind};
use super::event_loop::EventLoop;
use super::scripted_check::check_between_turns;
use super::scripted_driver::{DriverScript, Polled, ScriptedDriver};
use crate::connection::scripted_stream::{FRAMING, ScriptedSocket, decode_frames, framed, received};
use crate::engine::handle::Handle;
use crate::engine::jobs::WakeFn;
use crate::engine::limits::Limits;
use crate::engine::setup::EngineSetup;
use crate::frame::Framing;
use crate::guard::guard;
use crate::service::ServiceId;
use crate::service::scripted_service::ScriptedService;

/// The number of turns after which a loop that still has work counts as spinning.
const MAX_TURNS: usize = 10_000;

/// A loop with one service behind listener 0 (`u16be`), listener 1 (`lines`), listener 2 (`raw`)
/// and UDP socket 3.
struct TestLoop {
    event_loop: EventLoop<ScriptedDriver>,
    script: DriverScript,
    service: ScriptedService,
    handle: Handle,
    woken: Arc<AtomicBool>,
    /// One message for each wake-up of the loop.
    wakes: Receiver<()>,
}

const LINES: usize = 1;
const RAW: usize = 2;
const UDP: usize = 3;
const UDP_ADDR: ([u8; 4], u16) = ([127, 0, 0, 1], 7);

/// The listener (`u16be`) of the second service, if a test has one.
const OTHER: usize = 4;

impl TestLoop {
    fn new(limits: Limits) -> Self {
        Self::with_other(limits, None)
    }

    /// Returns a loop with a second service behind listener 4.
    fn with_other(limits: Limits, other: Option<ScriptedService>) -> Self {
        let id = ServiceId(0);
        let listener = |framing| Source { kind: SourceKind::Listener(framing), service: id };
        let udp = Source { kind: SourceKind::Udp { local: UDP_ADDR.into() }, service: id };
        let mut sources = vec![listener(FRAMING), listener(Framing::Lines), listener(Framing::Raw), udp];
        sources.extend(other.iter().map(|_| Source { service: ServiceId(1), ..listener(FRAMING) }));
        let woken = Arc::new(AtomicBool::new(false));
        let script = DriverScript::new(&sources, Arc::clone(&woken));
        let (sender, wakes) = channel();
        let wake: WakeFn = {
            let woken = Arc::clone(&woken);
            Arc::new(move || {
                woken.store(true, Ordering::Release);
                let _ = sender.send(());
            })
        };
        let mut setup = setup(limits, &wake);
        let service = ScriptedService::default();
        setup.add_service("service".into(), service.clone());
        if let Some(other) = other {
            setup.add_service("other".into(), other);
        }
        setup.services.iter_mut().for_each(|registered| registered.is_reachable = true);
        let handle = setup.handle.clone();
        let event_loop = EventLoop::new(script.driver(), setup, &wake);
        let mut test = Self { event_loop, script, service, handle, woken, wakes };
        test.run_until_idle();
        test
    }

    /// Connects a client to listener 0 and runs until it is served.
    fn connect(&mut self) -> ScriptedSocket {
        self.connect_to(0)
    }

    fn connect_to(&mut self, listener: usize) -> ScriptedSocket {
        let socket = self.script.connect(listener);
        self.run_until_idle();
        socket
    }

    /// Runs one turn and checks the invariants.
    fn turn(&mut self) -> Polled {
        self.event_loop.run_turn().unwrap();
        self.check();
        self.script.last_poll()
    }

    /// Runs turns until the loop would sleep. Returns the timeout of that poll.
    fn run_until_idle(&mut self) -> Option<Duration> {
        for _ in 0..MAX_TURNS {
            let polled = self.turn();
            if !self.event_loop.is_running() || (polled.events == 0 && polled.timeout != Some(Duration::ZERO)) {
                return polled.timeout;
            }
        }
        panic!("the loop spins: {:?}", self.event_loop.shared.worker.stats);
    }

    /// Advances the clock while the loop sleeps, then runs until idle.
    fn advance_time(&mut self, time: Duration) {
        self.script.advance(time);
        self.turn();
        self.run_until_idle();
    }

    /// Waits until another thread has woken the loop, then runs until idle.
    fn wait_for_wake(&mut self) {
        while !self.woken.load(Ordering::Acquire) {
            self.wakes.recv_timeout(guard()).expect("the loop was not woken");
        }
        self.run_until_idle();
    }

    fn check(&self) {
        check_between_turns(&self.event_loop).unwrap();
    }

    /// Lets each callback of the service take `cost` on the loop's clock.
    fn set_cost(&self, cost: Duration) {
        let clock = self.script.clock();
        self.service.script().cost = Some(Arc::new(move || *clock.lock().unwrap() += cost));
    }

    fn log(&self) -> Vec<String> {
        self.service.take_log()
    }

    fn has_connection(&self, socket: &ScriptedSocket) -> bool {
        self.script.key_of(socket).is_some_and(|key| self.event_loop.connections.get(key).is_some())
    }
}

/// Returns the set-up of an engine with limits that may be too small for a server.
fn setup(limits: Limits, wake: &WakeFn) -> EngineSetup {
    let valid = Limits { max_queued_messages: limits.max_queued_messages, ..Limits::default() };
    let mut setup = EngineSetup::new(valid, Arc::clone(wake)).unwrap();
    setup.limits = limits;
    setup
}
