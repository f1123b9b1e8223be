//! The thread-per-connection engine: the reactor's services, with one thread for each connection.
//!
//! Reading order: [`connection_thread`] is a connection's thread and its wait, [`step`] is the work
//! between two waits, [`callbacks`] calls the service and ends the connection. [`worker`] applies
//! the actions of callbacks. [`shared_connection`] is the way to another thread's connection, with
//! its [`inbox`]. [`listen`] has the threads of the bound sockets, [`control_thread`] is the thread
//! that called `run`. [`shared`] is the state that all threads share; of its parts,
//! [`service_slot`] has a service, [`routes`] the connections as a whole, [`held_memory`] their
//! bytes, and [`lifecycle`] what the threads wait for. [`socket`] calls the operating system.
//!
//! Lock order: the connection's own lock, taken by its thread; its service's lock; an inbox's or a
//! table's. Other threads only try a connection's lock. No other lock is held during a system call
//! that may block.

mod callback_time;
mod callbacks;
mod connection_thread;
mod control_thread;
mod current_connection;
mod held_memory;
mod inbox;
mod lag;
mod lifecycle;
mod listen;
mod offloaded_job;
mod routes;
mod service_slot;
mod shared;
mod shared_connection;
mod socket;
mod step;
#[cfg(test)]
mod tests;
mod udp;
mod worker;

use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::error::Error;
use crate::engine::handle::{Command, Handle};
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::engine::setup::{self, EngineSetup, fit_to_threads};
use crate::engine::stats::Stats;
use crate::frame::Framing;
use crate::net::bind::bind_udp;
use crate::net::{Endpoint, Notifier, SocketStream};
use crate::service::{Peer, Service, ServiceId, ServiceOptions};
use crate::sync::mpsc::{Receiver, channel};

use connection_thread::PendingConnection;
use control_thread::ControlThread;
use lifecycle::{OsSystem, System};
use listen::AcceptThread;
use shared::{EngineParts, EngineShared};
use socket::{Listener, UdpBinding, bind_listener, copy_input, copy_output};
use udp::UdpThread;

/// An engine with one thread per connection, while it is being set up. It runs the same services as
/// a [`Reactor`](crate::Reactor).
///
/// A service that offers an [instance per connection](ServiceOptions::per_connection) is called on
/// many threads at the same time, each instance on one of them. Any other service is called by one
/// thread at a time.
///
/// ```no_run
/// use switchboard::services::Echo;
/// use switchboard::{Framing, Limits, Threaded};
///
/// let mut engine = Threaded::new(Limits::default())?;
/// let echo = engine.add_service(Echo.options("echo"), Echo);
/// engine.listen(echo, &"127.0.0.1:7000".parse()?, Framing::U32BE)?;
/// engine.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Threaded {
    setup: EngineSetup,
    listeners: Vec<(Box<dyn Listener>, Framing, ServiceId)>,
    udp_bindings: Vec<UdpBinding>,
    pipes: Vec<(UnixStream, Command)>,
    consoles: Vec<PendingConsole>,
    control: Arc<Notifier>,
    system: Box<dyn System>,
}

impl Threaded {
    /// Returns an engine without services. Lowers `max_connections` to what the process's
    /// descriptor limit and the system's limits on threads leave room for, with a line in the log;
    /// [`run`](Self::run) does so again for the descriptors that the services
    /// [need](ServiceOptions::descriptors).
    ///
    /// # Errors
    /// [`Error::Limits`] if the limits contradict each other, [`Error::Poll`] if the system has no
    /// descriptor left.
    pub fn new(limits: Limits) -> Result<Self, Error> {
        Self::with_system(limits, Box::new(OsSystem))
    }

    fn with_system(limits: Limits, system: Box<dyn System>) -> Result<Self, Error> {
        let control = Arc::new(Notifier::new().map_err(Error::Poll)?);
        let notifier = Arc::clone(&control);
        let mut setup = EngineSetup::new(limits, Arc::new(move || notifier.notify()))?;
        fit_to_threads(&mut setup.limits);
        Ok(Self {
            setup,
            listeners: Vec::new(),
            udp_bindings: Vec::new(),
            pipes: Vec::new(),
            consoles: Vec::new(),
            control,
            system,
        })
    }

    /// Adds a service, as [`Reactor::add_service`](crate::Reactor::add_service) does.
    pub fn add_service(
        &mut self,
        options: impl Into<ServiceOptions>,
        service: impl Service + Send + 'static,
    ) -> ServiceId {
        self.setup.add_service(options.into(), service)
    }

    /// Listens for `service`, as [`Reactor::listen`](crate::Reactor::listen) does.
    ///
    /// # Errors
    /// [`Error::Bind`] if the address cannot be bound, or the service is of another engine.
    pub fn listen(&mut self, service: ServiceId, endpoint: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        let Self { setup, listeners, udp_bindings, .. } = self;
        setup.listen(service, endpoint, |limits| {
            if let Endpoint::Udp(addr) = endpoint {
                let socket = UdpSocket::from(bind_udp(*addr)?);
                let local = socket.local_addr()?;
                udp_bindings.push(UdpBinding::new(socket, local, service));
                return Ok(Endpoint::Udp(local));
            }
            let (listener, bound) = bind_listener(endpoint, limits)?;
            listeners.push((listener, framing, service));
            Ok(bound)
        })
    }

    /// Serves an existing input and output, as [`Reactor::attach`](crate::Reactor::attach) does.
    /// Two threads copy bytes between them and the connection. After the engine has ended, the
    /// reading thread may still wait for input; it holds nothing of the engine.
    ///
    /// # Errors
    /// [`Error::Attach`] if the service is of another engine.
    pub fn attach(
        &mut self,
        service: ServiceId,
        input: impl Into<OwnedFd>,
        output: impl Into<OwnedFd>,
        framing: Framing,
    ) -> Result<(), Error> {
        let Self { setup, consoles, .. } = self;
        setup.attach(service, || {
            consoles.push(PendingConsole { service, framing, input: input.into(), output: output.into() });
            Ok(())
        })
    }

    /// Returns a pipe to this engine for code that can only write a byte, as
    /// [`Reactor::command_pipe`](crate::Reactor::command_pipe) does.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub fn command_pipe(&mut self, command: Command) -> io::Result<UnixStream> {
        let (caller_end, engine_end) = setup::command_pipe()?;
        self.pipes.push((engine_end, command));
        Ok(caller_end)
    }

    /// Returns a handle with which other threads reach the engine, before and while it runs.
    pub fn handle(&self) -> Handle {
        self.setup.handle.clone()
    }

    /// Returns the limits in force.
    pub fn limits(&self) -> &Limits {
        &self.setup.limits
    }

    /// Runs until the engine is stopped or drained, through a [`Handle`] or by a service, and until
    /// all its threads have ended. Returns the engine's counters. Waits for a job that a connection
    /// has offloaded and that is running, because it runs on the connection's thread. Does not wait
    /// for jobs without a connection.
    ///
    /// # Errors
    /// [`Error::Poll`] and [`Error::Thread`] if the system has no descriptor or thread for the
    /// engine's start. [`Error::ServicesStopped`] if every service that peers can reach was
    /// stopped, because it panicked repeatedly. Nothing else that a peer does ends the engine.
    ///
    /// # Panics
    /// If a callback of a service panics, on any thread, and [`Limits::panic`] is
    /// [`PanicPolicy::Abort`](crate::PanicPolicy::Abort): the engine ends and the panic continues
    /// here.
    pub fn run(self) -> Result<Stats, Error> {
        let Self { mut setup, listeners, udp_bindings, pipes, consoles, control, system } = self;
        // A connection of a shared service has a notifier, too.
        let clients = setup.clients(|options| if options.per_connection.is_none() { 2 } else { 1 });
        let EngineSetup { limits, services, inbox, .. } = setup;
        let parts =
            EngineParts { limits, services, clients, udp_bindings, listeners: listeners.len(), control, system };
        let shared = Arc::new(EngineShared::new(parts).map_err(Error::Poll)?);
        let mut control = ControlThread::new(Arc::clone(&shared), inbox, pipes);
        let result = catch_unwind(AssertUnwindSafe(|| {
            if control.begin() {
                // A client comes when the consoles are open, so that they miss none of its messages.
                let opening: Vec<_> = consoles.into_iter().map(|it| it.start(&shared)).collect::<io::Result<_>>()?;
                opening.into_iter().flatten().for_each(|console| _ = console.recv());
                start_engine_threads(&shared, listeners)?;
            }
            control.run();
            Ok(())
        }));
        let result = result.unwrap_or_else(|panic| {
            shared.fail(panic);
            Ok(())
        });
        shared.advance_state(RunState::Stopped);
        control.wait_for_threads();
        if let Some(panic) = shared.lifecycle.take_panic() {
            std::panic::resume_unwind(panic);
        }
        result.map_err(Error::Thread)?;
        let stats = shared.stats();
        let all_stopped = shared.lifecycle.all_stopped.load(Ordering::Acquire);
        if all_stopped { Err(Error::ServicesStopped { stats: Box::new(stats) }) } else { Ok(stats) }
    }
}

impl fmt::Debug for Threaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threaded({} services)", self.setup.services.len())
    }
}

/// Starts a thread for each listener and each UDP socket. Fails if one cannot start.
fn start_engine_threads(
    shared: &Arc<EngineShared>,
    listeners: Vec<(Box<dyn Listener>, Framing, ServiceId)>,
) -> io::Result<()> {
    for (number, (listener, framing, service)) in listeners.into_iter().enumerate() {
        let Some(service_slot) = shared.service_slot(service) else { continue };
        let accept_thread = AcceptThread::new(Arc::clone(shared), listener, framing, Arc::clone(service_slot), number);
        start_thread(shared, format!("accept-{number}"), || accept_thread.run())?;
    }
    for (number, udp_binding) in shared.udp_bindings.iter().enumerate() {
        let Some(service_slot) = shared.service_slot(udp_binding.service) else { continue };
        let (thread_shared, service_slot) = (Arc::clone(shared), Arc::clone(service_slot));
        start_thread(shared, format!("udp-{number}"), move || {
            UdpThread::new(thread_shared, service_slot, number).run();
        })?;
    }
    Ok(())
}

fn start_thread(shared: &Arc<EngineShared>, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (wait_guard, thread_shared) = (shared.lifecycle.threads.enter(), Arc::clone(shared));
    let task = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            thread_shared.fail(panic);
        }
        drop(thread_shared);
        drop(wait_guard);
    };
    shared.system.spawn(name, Box::new(task))
}

/// A console that becomes a connection when the engine starts.
struct PendingConsole {
    service: ServiceId,
    framing: Framing,
    input: OwnedFd,
    output: OwnedFd,
}

impl PendingConsole {
    /// Opens the console's connection and starts its two threads. The channel closes when `on_open`
    /// has run.
    fn start(self, shared: &Arc<EngineShared>) -> io::Result<Option<Receiver<()>>> {
        let Some(service_slot) = shared.service_slot(self.service) else { return Ok(None) };
        let (opening, is_open) = channel();
        let (near, far) = UnixStream::pair()?;
        let (input, output, far_clone) = (self.input, self.output, far.try_clone()?);
        let pending = PendingConnection {
            socket: Arc::new(SocketStream::from(near)),
            peer: Peer::Console,
            framing: self.framing,
            notifier: None,
            has_read_timeout: false,
            opening: Some(opening),
        };
        shared.slots.add_console();
        pending
            .start(shared, service_slot, shared.clock().timestamp)
            .inspect_err(|_| shared.slots.release(false, &Peer::Console, self.service))?;
        shared.routes.count_console();
        let wait_guard = shared.lifecycle.console_writers.enter();
        let copy_output = move || {
            copy_output(far_clone, &output);
            drop(wait_guard);
        };
        shared.system.spawn("console-out".to_owned(), Box::new(copy_output))?;
        shared.system.spawn("console-in".to_owned(), Box::new(move || copy_input(&input, far)))?;
        Ok(Some(is_open))
    }
}
