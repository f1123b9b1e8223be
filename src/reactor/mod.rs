//! The event loop: one thread, one poll instance, any number of listeners, connections and sockets.
//!
//! Reading order: [`event_loop`] is the loop and one turn of it, in nine steps. [`step_ready`] is
//! step 5, [`step`] for a connection, [`accept`] for a listener, [`udp`] for a UDP socket.
//! [`shared`] is the state that all of them share, and [`state`] and [`timers`] are its parts.
//! [`lag`] measures turns. [`apply`] applies the actions of a callback, [`turn_end`] is step 8,
//! [`close`] ends connections and the loop, [`memory`] bounds the bytes that all connections hold.
//! [`driver`] is the narrow trait between all of these and the operating system.
//!
//! Only the driver makes system calls, so the tests run the same loop over a scripted driver.

mod accept;
mod apply;
mod close;
mod driver;
mod event_loop;
mod lag;
mod memory;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a script that breaks its own rules has failed")]
mod scripted_check;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "the fuzz targets use a part of it"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a script that breaks its own rules has failed")]
mod scripted_driver;
#[cfg(all(feature = "cli", any(test, feature = "fuzzing")))]
pub(crate) mod scripted_loop;
#[cfg(any(test, feature = "fuzzing"))]
mod scripted_source;
mod shared;
mod state;
mod step;
mod step_ready;
mod targets;
#[cfg(test)]
mod tests;
mod timers;
mod turn_end;
mod turn_meter;
mod udp;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use self::driver::bound_sources::BoundSources;
use self::driver::mio_driver::MioDriver;
use self::event_loop::EventLoop;
use crate::engine::error::Error;
use crate::engine::handle::{Command, Handle};
use crate::engine::limits::Limits;
use crate::engine::setup::EngineSetup;
use crate::engine::stats::Stats;
use crate::frame::Framing;
use crate::net::Endpoint;
use crate::service::{Service, ServiceId, ServiceOptions};

/// An event loop that is being set up: its services and their listeners. [`run`](Self::run) runs
/// it.
///
/// ```no_run
/// use switchboard::{Context, Endpoint, Framing, Limits, Reactor, Service};
///
/// struct Echo;
/// impl Service for Echo {
///     fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
///         cx.reply(payload);
///     }
/// }
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let echo = reactor.add_service("echo", Echo);
/// let bound = reactor.listen(echo, &"127.0.0.1:7000".parse()?, Framing::U32BE)?;
/// println!("listening echo {bound}");
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reactor {
    setup: EngineSetup,
    sources: BoundSources,
}

impl Reactor {
    /// Returns a loop without services. Lowers `max_connections` to what the process's descriptor
    /// limit leaves room for, with a line in the log; [`run`](Self::run) does so again for the
    /// descriptors that the services [need](ServiceOptions::descriptors).
    ///
    /// # Errors
    /// [`Error::Limits`] if the limits contradict each other, [`Error::Poll`] if the system gives
    /// no poll instance.
    pub fn new(limits: Limits) -> Result<Self, Error> {
        let sources = BoundSources::new().map_err(Error::Poll)?;
        Ok(Self { setup: EngineSetup::new(limits, sources.wake())?, sources })
    }

    /// Adds a service. `options` may be its name alone, which the log uses for it.
    pub fn add_service(
        &mut self,
        options: impl Into<ServiceOptions>,
        service: impl Service + Send + 'static,
    ) -> ServiceId {
        self.setup.add_service(options.into(), service)
    }

    /// Listens for `service`. Returns the endpoint that is bound, with the port that the system
    /// chose if port 0 was asked for. Connections wait in the backlog until [`run`](Self::run). A
    /// UDP socket ignores the framing: each datagram is a message.
    ///
    /// # Errors
    /// [`Error::Bind`] if the address cannot be bound, or the service is of another engine.
    pub fn listen(&mut self, service: ServiceId, endpoint: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        let Self { setup, sources } = self;
        setup.listen(service, endpoint, |limits| sources.listen(service, endpoint, framing, limits))
    }

    /// Serves an existing input and output, such as the operator's terminal. To `service` they are
    /// a connection like any other, of [`Peer::Console`](crate::Peer::Console), which opens when
    /// [`run`](Self::run) begins.
    ///
    /// A console differs from a client in these points:
    ///
    /// - It does not count against `max_connections`.
    /// - No deadline closes it, because an operator may type slowly or stop the output.
    /// - Its unread output is bounded like a client's, but beyond the bound the oldest frames are
    ///   dropped, whatever [`Limits::slow_consumer`] is.
    /// - Its end (Ctrl-D, the end of a pipe, a terminal that hangs up) does not stop the loop.
    ///
    /// Terminals, pipes, sockets, regular files and `/dev/null` are supported. A terminal or pipe
    /// is opened again, which needs the permission to do so: setting `O_NONBLOCK` on the
    /// descriptors themselves would affect every process that shares them. Regular files are read
    /// and written as they are, and wait for their disk.
    ///
    /// ```no_run
    /// use std::os::fd::AsFd;
    /// use switchboard::{Framing, Limits, Reactor, services::Echo};
    ///
    /// let mut reactor = Reactor::new(Limits::default())?;
    /// let echo = reactor.add_service(Echo.options("echo"), Echo);
    /// let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    /// let output = std::io::stdout().as_fd().try_clone_to_owned()?;
    /// reactor.attach(echo, input, output, Framing::Lines)?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Attach`] if a descriptor has no nonblocking form, or the service is of another
    /// engine.
    pub fn attach(
        &mut self,
        service: ServiceId,
        input: impl Into<OwnedFd>,
        output: impl Into<OwnedFd>,
        framing: Framing,
    ) -> Result<(), Error> {
        let Self { setup, sources } = self;
        setup.attach(service, || sources.attach(service, (input.into(), output.into()), framing))
    }

    /// Returns a pipe to this loop for code that can only write a byte, such as a signal handler:
    /// any byte gives `command`. Writing to the pipe is harmless after the loop has ended.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub fn command_pipe(&mut self, command: Command) -> io::Result<std::os::unix::net::UnixStream> {
        self.sources.command_pipe(command)
    }

    /// Returns a handle with which other threads reach the loop, before and while it runs.
    pub fn handle(&self) -> Handle {
        self.setup.handle.clone()
    }

    /// Returns the limits in force.
    pub fn limits(&self) -> &Limits {
        &self.setup.limits
    }

    /// Runs until the loop is stopped or drained, through a [`Handle`] or by a service. Returns the
    /// loop's counters.
    ///
    /// # Errors
    /// [`Error::Poll`] if polling fails. [`Error::ServicesStopped`] if every service that peers can
    /// reach was stopped, because it panicked repeatedly. Nothing else that a peer does ends the
    /// loop.
    ///
    /// # Panics
    /// If a callback of a service panics and [`Limits::panic`] is
    /// [`PanicPolicy::Abort`](crate::PanicPolicy::Abort).
    pub fn run(self) -> Result<Stats, Error> {
        let wake = self.sources.wake();
        let driver = MioDriver::new(self.sources);
        EventLoop::new(driver, self.setup, &wake).run()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reactor({} services)", self.setup.services.len())
    }
}
