//! The event loop: one thread, one poll instance, any number of listeners, connections and UDP sockets.
//!
//! Reading order: [`event_loop`] is the loop itself and what it does in which order; [`step`] is what it does for one connection;
//! [`accept`], [`udp`], [`apply`], [`close`] and [`memory`] are the parts of a turn that deserve a page of their own.
//! [`driver`] is the narrow trait that all of this is written against, and its one implementation that names `mio`.

mod accept;
mod apply;
mod close;
mod driver;
mod event_loop;
mod memory;
mod step;
#[cfg(test)]
mod tests;
mod turn_end;
mod udp;

use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;

use crate::engine::error::Error;
use crate::engine::handle::{self, Command, Handle};
use crate::engine::limits::Limits;
use crate::engine::setup::{Registered, fit_to_descriptors};
use crate::engine::stats::Stats;
use crate::frame::Framing;
use crate::net::Endpoint;
use crate::service::{Service, ServiceId};

/// An event loop, being set up: services, and where they listen. [`run`](Self::run) is the loop itself.
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
    limits: Limits,
    services: Vec<Registered>,
    sources: driver::Sources,
    handle: Handle,
    inbox: handle::Inbox,
}

impl Reactor {
    /// A loop without services. `max_connections` is lowered to what the process's descriptor limit leaves room for, with a
    /// line in the log.
    ///
    /// # Errors
    /// [`Error::Limits`] when the limits contradict themselves, [`Error::Poll`] when the system has no poll instance to give.
    pub fn new(mut limits: Limits) -> Result<Self, Error> {
        limits.validate()?;
        fit_to_descriptors(&mut limits, 1);
        let sources = driver::Sources::new().map_err(Error::Poll)?;
        let (handle, inbox) = handle::pair(sources.wake(), limits.max_queued_messages);
        Ok(Self { limits, services: Vec::new(), sources, handle, inbox })
    }

    /// Adds a service; `name` is how the log calls it.
    pub fn add_service(&mut self, name: impl Into<String>, service: impl Service + Send + 'static) -> ServiceId {
        self.services.push(Registered { name: name.into(), service: Box::new(service) });
        ServiceId(self.services.len() - 1)
    }

    /// Listens for `service`. Returns the endpoint really bound, which differs where port 0 was asked for. Connections wait in
    /// the backlog until [`run`](Self::run). A UDP socket has no use for a framing: each datagram is a message.
    ///
    /// # Errors
    /// [`Error::Bind`] when the address cannot be had.
    pub fn listen(&mut self, service: ServiceId, endpoint: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        let bound = if service.0 < self.services.len() {
            self.sources.listen(service, endpoint, framing, &self.limits)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "the service is of another reactor"))
        };
        bound.map_err(|source| Error::Bind { endpoint: endpoint.clone(), source })
    }

    /// Serves a peer that is there already, such as the operator at a terminal: what it says is read from `input`, what it is
    /// told is written to `output`. To `service` it is a connection like any other, of [`Peer::Console`](crate::Peer::Console),
    /// opened when [`run`](Self::run) begins.
    ///
    /// It differs in this. It does not count against `max_connections`. No deadline ends it, because an operator may type
    /// slowly or stop the output; what is not read is bounded, and beyond the bound the oldest goes, whatever
    /// [`Limits::slow_consumer`] says. Its end (Ctrl-D, the end of a pipe, a terminal that hangs up) is its own: the loop goes on.
    ///
    /// Terminals, pipes, sockets, regular files and `/dev/null` will do. No flag of the descriptors is changed, because whoever
    /// started this process shares them: a terminal or pipe is opened again instead, which needs the right to do so. Regular
    /// files are read and written as they are, and wait for their disk.
    ///
    /// ```no_run
    /// use std::os::fd::AsFd;
    /// use switchboard::{Framing, Limits, Reactor, services::Echo};
    ///
    /// let mut reactor = Reactor::new(Limits::default())?;
    /// let echo = reactor.add_service("echo", Echo);
    /// let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    /// let output = std::io::stdout().as_fd().try_clone_to_owned()?;
    /// reactor.attach(echo, input, output, Framing::Lines)?;
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Attach`] when one of them cannot be had in a way that never waits.
    #[cfg(unix)]
    pub fn attach(
        &mut self,
        service: ServiceId,
        input: impl Into<OwnedFd>,
        output: impl Into<OwnedFd>,
        framing: Framing,
    ) -> Result<(), Error> {
        if service.0 >= self.services.len() {
            let stranger = io::Error::new(io::ErrorKind::InvalidInput, "the service is of another reactor");
            return Err(Error::Attach(stranger));
        }
        self.sources.attach(service, (input.into(), output.into()), framing).map_err(Error::Attach)
    }

    /// A pipe to this loop for those who can do no more than write a byte, such as a signal handler: any byte gives
    /// `command`. It may be kept as long as one likes, and written to when the loop has ended.
    ///
    /// # Errors
    /// What the operating system said.
    #[cfg(unix)]
    pub fn command_pipe(&mut self, command: Command) -> io::Result<std::os::unix::net::UnixStream> {
        self.sources.pipe(command)
    }

    /// What other threads use to reach the loop, before it runs and while it does.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs until it is stopped or drained through a [`Handle`] or by a service; returns what it has done.
    ///
    /// # Errors
    /// [`Error::Poll`] when the operating system fails to poll. Nothing that a peer does ends the loop.
    pub fn run(self) -> Result<Stats, Error> {
        let wake = self.sources.wake();
        let net = self.sources.into_net();
        event_loop::Turn::new(net, self.limits, self.services, self.inbox, &wake).run().map_err(Error::Poll)
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reactor({} services)", self.services.len())
    }
}
