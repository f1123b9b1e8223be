//! An engine that a test configures and runs on a separate thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, Once};
use std::thread;
use std::time::Instant;

use switchboard::services::Echo;
use switchboard::{
    Endpoint, Error, Framing, Handle, Limits, Reactor, Service, ServiceId, ServiceOptions, Stats, Threaded,
};

use super::guard;

/// The interface that both engines have in common.
pub(crate) trait Engine: Sized + Send + 'static {
    fn with_limits(limits: Limits) -> Self;
    fn add_service(&mut self, options: impl Into<ServiceOptions>, service: impl Service + Send + 'static) -> ServiceId;
    fn try_listen(&mut self, service: ServiceId, at: &Endpoint, framing: Framing) -> Result<Endpoint, Error>;
    fn attach(&mut self, service: ServiceId, input: OwnedFd, output: OwnedFd) -> Result<(), Error>;
    fn handle(&self) -> Handle;
    fn run(self) -> Result<Stats, Error>;

    fn listen(&mut self, service: ServiceId, at: &str, framing: Framing) -> Endpoint {
        self.try_listen(service, &at.parse().unwrap(), framing).unwrap()
    }
}

/// Implements [`Engine`] with the engine's own functions.
macro_rules! engines {
    ($($engine:ty),*) => {$(
        impl Engine for $engine {
            fn with_limits(limits: Limits) -> Self {
                Self::new(limits).unwrap()
            }

            fn add_service(&mut self, options: impl Into<ServiceOptions>, service: impl Service + Send + 'static) -> ServiceId {
                Self::add_service(self, options, service)
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
    )*};
}

engines!(Reactor, Threaded);

/// Listens on a free TCP port of 127.0.0.1 and returns the address.
pub(crate) fn listen_tcp(engine: &mut impl Engine, service: ServiceId, framing: Framing) -> SocketAddr {
    match engine.listen(service, "127.0.0.1:0", framing) {
        Endpoint::Tcp(addr) => addr,
        other => panic!("asked for TCP, got {other}"),
    }
}

/// Starts an engine with one service on one TCP port with u32be framing.
pub(crate) fn serve<E: Engine>(limits: Limits, service: impl Service + Send + 'static) -> (RunningEngine, SocketAddr) {
    serve_with::<E>(limits, "test", service)
}

/// Starts the same engine for the echo service, with an instance for each connection.
pub(crate) fn serve_echo<E: Engine>(limits: Limits) -> (RunningEngine, SocketAddr) {
    serve_with::<E>(limits, Echo.options("test"), Echo)
}

/// Starts the same engine for a service with these options.
pub(crate) fn serve_with<E: Engine>(
    limits: Limits,
    options: impl Into<ServiceOptions>,
    service: impl Service + Send + 'static,
) -> (RunningEngine, SocketAddr) {
    let mut engine = E::with_limits(limits);
    let id = engine.add_service(options, service);
    let addr = listen_tcp(&mut engine, id, Framing::U32BE);
    (RunningEngine::start(engine), addr)
}

/// Returns the options of the service `test`, with an instance for each connection if
/// `per_connection` is true.
pub(crate) fn instances_if<S: Service + Send + 'static>(
    per_connection: bool,
    instance: impl Fn() -> S + Send + Sync + 'static,
) -> ServiceOptions {
    let options = ServiceOptions::new("test");
    if per_connection { options.per_connection(instance) } else { options }
}

/// A running engine. Dropping it stops the engine; a test that checks the result calls
/// [`drain`](Self::drain) or [`join`](Self::join).
pub(crate) struct RunningEngine {
    pub(crate) handle: Handle,
    result: Receiver<Result<Stats, Error>>,
    counters: Mutex<Receiver<String>>,
}

impl RunningEngine {
    pub(crate) fn start(engine: impl Engine) -> Self {
        install_logger();
        let handle = engine.handle();
        let (result_out, result) = channel();
        let (counters_out, counters) = channel();
        thread::spawn(move || {
            COUNTERS.set(Some(counters_out));
            let _ = result_out.send(engine.run());
        });
        Self { handle, result, counters: Mutex::new(counters) }
    }

    /// Returns the current counters by name. Each call costs the engine one turn.
    pub(crate) fn counters(&self) -> HashMap<String, u64> {
        let counters: MutexGuard<'_, _> = self.counters.lock().unwrap();
        self.handle.log_stats();
        let line = counters.recv_timeout(guard()).expect("the engine logged no counters");
        let pairs = line.split(' ').map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    /// Waits until `condition` is true for a counter.
    pub(crate) fn await_counter(&self, name: &str, condition: impl Fn(u64) -> bool) {
        let begun = Instant::now();
        while !condition(self.counters()[name]) {
            assert!(begun.elapsed() < guard(), "counter {name}: the expected value did not come in time");
        }
    }

    /// Waits until the engine has ended and returns its statistics. The caller has stopped it.
    pub(crate) fn join(self) -> Stats {
        self.result.recv_timeout(guard()).expect("the engine did not end").expect("the engine failed")
    }

    /// Stops the engine gracefully and returns its statistics.
    pub(crate) fn drain(self) -> Stats {
        self.handle.drain();
        self.join()
    }
}

impl Drop for RunningEngine {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

thread_local! {
    /// Channel for the counters that the engine of this thread logs. The logger is global, and the
    /// tests of one process run in parallel.
    static COUNTERS: RefCell<Option<Sender<String>>> = const { RefCell::new(None) };
}

/// The lines that the engines of this process have logged as errors.
pub(crate) static LOGGED_ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The lines that they have logged as warnings.
pub(crate) static LOGGED_WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A logger that forwards the counters of an engine to the test that runs it, and keeps errors and
/// warnings.
struct CounterLogger;

impl log::Log for CounterLogger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if record.level() == log::Level::Error {
            LOGGED_ERRORS.lock().unwrap().push(line);
        } else if record.level() == log::Level::Warn {
            LOGGED_WARNINGS.lock().unwrap().push(line);
        } else if line.starts_with("open=") {
            COUNTERS.with_borrow(|counters| {
                if let Some(counters) = counters {
                    let _ = counters.send(line);
                }
            });
        }
    }

    fn flush(&self) {}
}

fn install_logger() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&CounterLogger).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}
