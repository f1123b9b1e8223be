//! An engine, set up by a test and run on a thread of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, Once};
use std::thread;
use std::time::Instant;

use switchboard::{Endpoint, Error, Framing, Handle, Limits, Reactor, Service, ServiceId, Stats, Threaded};

use super::GUARD;

/// What every engine offers.
pub(crate) trait Engine: Sized + Send + 'static {
    fn with_limits(limits: Limits) -> Self;
    fn add_service(&mut self, name: &str, service: impl Service + Send + 'static) -> ServiceId;
    fn try_listen(&mut self, service: ServiceId, at: &Endpoint, framing: Framing) -> Result<Endpoint, Error>;
    fn attach(&mut self, service: ServiceId, input: OwnedFd, output: OwnedFd) -> Result<(), Error>;
    fn handle(&self) -> Handle;
    fn run(self) -> Result<Stats, Error>;

    fn listen(&mut self, service: ServiceId, at: &str, framing: Framing) -> Endpoint {
        self.try_listen(service, &at.parse().unwrap(), framing).unwrap()
    }
}

impl Engine for Reactor {
    fn with_limits(limits: Limits) -> Self {
        Self::new(limits).unwrap()
    }

    fn add_service(&mut self, name: &str, service: impl Service + Send + 'static) -> ServiceId {
        Self::add_service(self, name, service)
    }

    fn try_listen(&mut self, service: ServiceId, at: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        Self::listen(self, service, at, framing)
    }

    fn attach(&mut self, service: ServiceId, input: OwnedFd, output: OwnedFd) -> Result<(), Error> {
        Self::attach(self, service, input, output, Framing::Lines)
    }

    fn handle(&self) -> Handle {
        Self::handle(self)
    }

    fn run(self) -> Result<Stats, Error> {
        Self::run(self)
    }
}

impl Engine for Threaded {
    fn with_limits(limits: Limits) -> Self {
        Self::new(limits).unwrap()
    }

    fn add_service(&mut self, name: &str, service: impl Service + Send + 'static) -> ServiceId {
        Self::add_service(self, name, service)
    }

    fn try_listen(&mut self, service: ServiceId, at: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        Self::listen(self, service, at, framing)
    }

    fn attach(&mut self, service: ServiceId, input: OwnedFd, output: OwnedFd) -> Result<(), Error> {
        Self::attach(self, service, input, output, Framing::Lines)
    }

    fn handle(&self) -> Handle {
        Self::handle(self)
    }

    fn run(self) -> Result<Stats, Error> {
        Self::run(self)
    }
}

/// Listens on a free port of the loopback interface.
pub(crate) fn tcp(engine: &mut impl Engine, service: ServiceId, framing: Framing) -> SocketAddr {
    match engine.listen(service, "127.0.0.1:0", framing) {
        Endpoint::Tcp(addr) => addr,
        other => panic!("asked for TCP, got {other}"),
    }
}

/// The commonest case: one service on one port, framed as u32be.
pub(crate) fn serve<E: Engine>(limits: Limits, service: impl Service + Send + 'static) -> (Running, SocketAddr) {
    let mut engine = E::with_limits(limits);
    let id = engine.add_service("tested", service);
    let addr = tcp(&mut engine, id, Framing::U32BE);
    (Running::start(engine), addr)
}

/// An engine at work. Dropped, it stops; a test that cares how it ends says [`drain`](Self::drain) or [`ended`](Self::ended).
pub(crate) struct Running {
    pub(crate) handle: Handle,
    result: Receiver<Result<Stats, Error>>,
    counters: Mutex<Receiver<String>>,
}

impl Running {
    pub(crate) fn start(engine: impl Engine) -> Self {
        watch_log();
        let handle = engine.handle();
        let (result_out, result) = channel();
        let (counters_out, counters) = channel();
        thread::spawn(move || {
            COUNTERS.set(Some(counters_out));
            let _ = result_out.send(engine.run());
        });
        Self { handle, result, counters: Mutex::new(counters) }
    }

    /// The counters as they are now, by name. Asking costs the engine a turn.
    pub(crate) fn counters(&self) -> HashMap<String, u64> {
        let counters: MutexGuard<'_, _> = self.counters.lock().unwrap();
        self.handle.log_stats();
        let line = counters.recv_timeout(GUARD).expect("the engine writes its counters to the log");
        let pairs = line.split(' ').map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    /// Waits until a counter is as wished.
    pub(crate) fn await_counter(&self, name: &str, is_so: impl Fn(u64) -> bool) {
        let begun = Instant::now();
        while !is_so(self.counters()[name]) {
            assert!(begun.elapsed() < GUARD, "{name} never becomes as it should");
        }
    }

    /// Waits until the engine has ended, as it must have been told to by now.
    pub(crate) fn ended(self) -> Stats {
        self.result.recv_timeout(GUARD).expect("the engine ends").expect("the engine ends well")
    }

    /// Stops it in good order.
    pub(crate) fn drain(self) -> Stats {
        self.handle.drain();
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

thread_local! {
    /// Where the counters go that this thread's engine writes to the log: tests run side by side in one process.
    static COUNTERS: RefCell<Option<Sender<String>>> = const { RefCell::new(None) };
}

struct CountersOnly;

impl log::Log for CountersOnly {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if line.starts_with("open=") {
            COUNTERS.with_borrow(|counters| {
                if let Some(counters) = counters {
                    let _ = counters.send(line);
                }
            });
        }
    }

    fn flush(&self) {}
}

fn watch_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&CountersOnly).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}
