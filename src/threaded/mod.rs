//! The twin of the reactor: the same services with a thread for each connection, as somebody who likes threads would write it.
//!
//! Reading order: [`connection_thread`] is a connection's thread and how it waits, [`step`] what it does between two waits, [`callbacks`] how it
//! calls the service, [`close`] how it ends. [`worker`] does what callbacks ask for, [`shared_connection`](mod@shared_connection) is how one connection's thread
//! reaches another connection. [`accept_thread`], [`udp_thread`], [`control_thread`] and [`console`] are the other threads, [`pending_connection`] how a
//! connection comes to its own. [`shared`] is what all of them share; [`timer_table`], [`memory`], [`semaphore`], [`connection_slots`] and [`thread_stats`] are its
//! parts, [`socket`], [`listener`] and [`spawn`] the operating system.
//!
//! Locks, in the order in which they are taken: a connection's own, by its thread; its service's; a post, a table. A
//! connection's lock is only ever tried by others, and none but it is held during a system call that could wait.

mod accept_thread;
mod callbacks;
mod close;
mod connection_slots;
mod connection_thread;
mod console;
mod control_thread;
mod listener;
mod memory;
mod pending_connection;
mod semaphore;
mod shared;
mod shared_connection;
mod socket;
mod spawn;
mod step;
#[cfg(test)]
mod tests;
mod thread_stats;
mod timer_table;
mod udp_thread;
mod worker;

use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::engine::error::Error;
use crate::engine::handle::{self, Command, Handle};
use crate::engine::limits::Limits;
use crate::engine::setup::{RegisteredService, fit_to_descriptors, fit_to_threads};
use crate::engine::stats::Stats;
use crate::frame::Framing;
use crate::net::Endpoint;
use crate::net::Notifier;
use crate::net::bind::bind_udp;
use crate::service::{Service, ServiceId};

use accept_thread::Acceptor;
use console::Console;
use control_thread::Control;
use listener::Listener;
use shared::{Exchange, Mailbox, Parts, Run};
use spawn::{OsThreads, Spawn};
use udp_thread::Postman;

/// An engine with a thread for each connection, being set up; it takes the place of a [`Reactor`](crate::Reactor) and runs the
/// same services.
///
/// A service that offers an instance [for each connection](Service::per_connection) is called on many threads at once, each
/// instance on its own; any other is called by one thread at a time.
///
/// ```no_run
/// use switchboard::services::Echo;
/// use switchboard::{Framing, Limits, Threaded};
///
/// let mut engine = Threaded::new(Limits::default())?;
/// let echo = engine.add_service("echo", Echo);
/// engine.listen(echo, &"127.0.0.1:7000".parse()?, Framing::U32BE)?;
/// engine.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Threaded {
    limits: Limits,
    services: Vec<RegisteredService>,
    listeners: Vec<(Listener, Framing, ServiceId)>,
    mailboxes: Vec<Mailbox>,
    pipes: Vec<(UnixStream, Command)>,
    consoles: Vec<Console>,
    handle: Handle,
    inbox: handle::HandleReceiver,
    control: Arc<Notifier>,
    spawn: Box<dyn Spawn>,
}

impl Threaded {
    /// An engine without services. `max_connections` is lowered to what the process's descriptor limit and the system's bounds on
    /// threads leave room for, with a line in the log.
    ///
    /// # Errors
    /// [`Error::Limits`] when the limits contradict themselves, [`Error::Poll`] when the system has no descriptor to give.
    pub fn new(limits: Limits) -> Result<Self, Error> {
        Self::with_threads(limits, Box::new(OsThreads::default()))
    }

    fn with_threads(mut limits: Limits, spawn: Box<dyn Spawn>) -> Result<Self, Error> {
        limits.validate()?;
        fit_to_descriptors(&mut limits, 1);
        fit_to_threads(&mut limits);
        let control = Arc::new(Notifier::new().map_err(Error::Poll)?);
        let rung = Arc::clone(&control);
        let (handle, inbox) = handle::pair(Arc::new(move || rung.notify()), limits.max_queued_messages);
        Ok(Self {
            limits,
            services: Vec::new(),
            listeners: Vec::new(),
            mailboxes: Vec::new(),
            pipes: Vec::new(),
            consoles: Vec::new(),
            handle,
            inbox,
            control,
            spawn,
        })
    }

    /// Adds a service; `name` is how the log calls it.
    pub fn add_service(&mut self, name: impl Into<String>, service: impl Service + Send + 'static) -> ServiceId {
        self.services.push(RegisteredService { name: name.into(), service: Box::new(service) });
        ServiceId(self.services.len() - 1)
    }

    /// Listens for `service`, as [`Reactor::listen`](crate::Reactor::listen) does. Each connection of a service that offers no
    /// instance for each takes two descriptors, so `max_connections` may be lowered once more.
    ///
    /// # Errors
    /// [`Error::Bind`] when the address cannot be had.
    pub fn listen(&mut self, service: ServiceId, endpoint: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        let bound = if service.0 < self.services.len() {
            self.bind(service, endpoint, framing)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "the service is of another engine"))
        };
        bound.map_err(|source| Error::Bind { endpoint: endpoint.clone(), source })
    }

    fn bind(&mut self, service: ServiceId, endpoint: &Endpoint, framing: Framing) -> io::Result<Endpoint> {
        if let Endpoint::Udp(addr) = endpoint {
            let socket = UdpSocket::from(bind_udp(*addr)?);
            let local = socket.local_addr()?;
            self.mailboxes.push(Mailbox { socket, local, service });
            return Ok(Endpoint::Udp(local));
        }
        if self.services.get(service.0).is_some_and(|it| it.service.per_connection().is_none()) {
            // A connection that others reach has a bell.
            fit_to_descriptors(&mut self.limits, 2);
        }
        let (listener, bound) = Listener::bind(endpoint, &self.limits)?;
        self.listeners.push((listener, framing, service));
        Ok(bound)
    }

    /// Serves a peer that is there already, as [`Reactor::attach`](crate::Reactor::attach) does. Two threads carry bytes
    /// between it and its connection; when the engine has ended, one of them may go on waiting for input, and keeps nothing.
    ///
    /// # Errors
    /// [`Error::Attach`] when the service is of another engine.
    pub fn attach(
        &mut self,
        service: ServiceId,
        input: impl Into<OwnedFd>,
        output: impl Into<OwnedFd>,
        framing: Framing,
    ) -> Result<(), Error> {
        if service.0 >= self.services.len() {
            let stranger = io::Error::new(io::ErrorKind::InvalidInput, "the service is of another engine");
            return Err(Error::Attach(stranger));
        }
        self.consoles.push(Console { service, framing, input: input.into(), output: output.into() });
        Ok(())
    }

    /// A pipe to this engine for those who can do no more than write a byte, as
    /// [`Reactor::command_pipe`](crate::Reactor::command_pipe).
    ///
    /// # Errors
    /// What the operating system said.
    pub fn command_pipe(&mut self, command: Command) -> io::Result<UnixStream> {
        let (theirs, ours) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        self.pipes.push((ours, command));
        Ok(theirs)
    }

    /// What other threads use to reach the engine, before it runs and while it does.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs until it is stopped or drained through a [`Handle`] or by a service, and until every thread that it has started
    /// has finished its work; returns what it has done. Work that was offloaded for a connection and is under way is waited for,
    /// since its thread does it; what was offloaded for nobody is not.
    ///
    /// # Errors
    /// [`Error::Poll`] and [`Error::Thread`] when the operating system has no descriptor or thread to begin with. Nothing that
    /// a peer does ends the engine.
    ///
    /// # Panics
    /// As a service's callback does, on whichever thread: the engine ends, and the panic goes on here.
    pub fn run(self) -> Result<Stats, Error> {
        let Self { limits, services, listeners, mailboxes, pipes, consoles, inbox, control, spawn, .. } = self;
        let parts = Parts { limits, services, mailboxes, listeners: listeners.len(), control, spawn };
        let exchange = Arc::new(Exchange::new(parts).map_err(Error::Poll)?);
        let mut control = Control::new(Arc::clone(&exchange), inbox, pipes);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            if control.begin() {
                start_staff(&exchange, listeners)?;
                consoles.into_iter().try_for_each(|console| console.start(&exchange))?;
            }
            control.run();
            Ok(())
        }));
        let ran = ran.unwrap_or_else(|panic| {
            exchange.fail(panic);
            Ok(())
        });
        exchange.set_run(Run::Stopped);
        control.see_all_off();
        if let Some(panic) = exchange.take_panic() {
            std::panic::resume_unwind(panic);
        }
        ran.map(|()| exchange.stats()).map_err(Error::Thread)
    }
}

impl fmt::Debug for Threaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threaded({} services)", self.services.len())
    }
}

/// A thread for each listener and each UDP socket. These have to be had.
fn start_staff(exchange: &Arc<Exchange>, listeners: Vec<(Listener, Framing, ServiceId)>) -> io::Result<()> {
    for (number, (listener, framing, service)) in listeners.into_iter().enumerate() {
        let Some(booth) = exchange.booth(service) else { continue };
        let acceptor = Acceptor::new(Arc::clone(exchange), listener, framing, Arc::clone(booth), number);
        start(exchange, format!("accept-{number}"), || acceptor.run())?;
    }
    for (number, mailbox) in exchange.mailboxes.iter().enumerate() {
        let Some(booth) = exchange.booth(mailbox.service) else { continue };
        let (there, booth) = (Arc::clone(exchange), Arc::clone(booth));
        start(exchange, format!("udp-{number}"), move || Postman::new(there, booth, number).run())?;
    }
    Ok(())
}

fn start(exchange: &Arc<Exchange>, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (shift, there) = (exchange.crew.begin(), Arc::clone(exchange));
    let task = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            there.fail(panic);
        }
        drop(there);
        drop(shift);
    };
    exchange.spawn.spawn(name, Box::new(task))
}
