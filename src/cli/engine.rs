//! The engines that the command line offers, behind one type.

use std::io;
use std::os::fd::OwnedFd;

use clap::ValueEnum;
use switchboard::{
    Command, Endpoint, Error, Framing, Handle, Limits, Reactor, Service, ServiceId, ServiceOptions, Stats,
};

/// An engine as named on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    /// one thread and one event loop for all connections
    #[default]
    Reactor,
    /// a thread for each connection
    Threads,
}

impl EngineName {
    /// Returns the name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reactor => "reactor",
            Self::Threads => "threads",
        }
    }
}

/// An engine of either kind, before it runs.
pub(super) enum AnyEngine {
    Reactor(Reactor),
    Threads(switchboard::Threaded),
}

/// Calls the same method on whichever engine it is.
macro_rules! with_engine {
    ($self:ident, $engine:ident => $call:expr) => {
        match $self {
            Self::Reactor($engine) => $call,
            Self::Threads($engine) => $call,
        }
    };
}

impl AnyEngine {
    /// Creates the engine `name`.
    pub(super) fn new(name: EngineName, limits: Limits) -> Result<Self, Error> {
        match name {
            EngineName::Reactor => Reactor::new(limits).map(Self::Reactor),
            EngineName::Threads => switchboard::Threaded::new(limits).map(Self::Threads),
        }
    }

    /// Adds a service.
    pub(super) fn add_service(&mut self, options: ServiceOptions, service: Box<dyn Service + Send>) -> ServiceId {
        with_engine!(self, engine => engine.add_service(options, service))
    }

    /// Binds the endpoint `at` for `service` and returns the bound endpoint.
    pub(super) fn listen(&mut self, service: ServiceId, at: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        with_engine!(self, engine => engine.listen(service, at, framing))
    }

    /// Returns a pipe that triggers `command` when written to, see [`Reactor::command_pipe`].
    pub(super) fn command_pipe(&mut self, command: Command) -> io::Result<std::os::unix::net::UnixStream> {
        with_engine!(self, engine => engine.command_pipe(command))
    }

    /// Returns a handle to the engine.
    pub(super) fn handle(&self) -> Handle {
        with_engine!(self, engine => engine.handle())
    }

    /// Makes a connection of two open descriptors, see [`Reactor::attach`].
    pub(super) fn attach(
        &mut self,
        service: ServiceId,
        input: OwnedFd,
        output: OwnedFd,
        framing: Framing,
    ) -> Result<(), Error> {
        with_engine!(self, engine => engine.attach(service, input, output, framing))
    }

    /// Runs the engine until it has stopped.
    pub(super) fn run(self) -> Result<Stats, Error> {
        with_engine!(self, engine => engine.run())
    }
}
