//! The engines that can be named on the command line, behind one face.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;

use clap::ValueEnum;
use switchboard::{Command, Endpoint, Error, Framing, Limits, Reactor, Service, ServiceId, Stats};

/// An engine's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    /// one thread and one event loop for all connections
    #[default]
    Reactor,
    /// a thread for each connection
    #[cfg(unix)]
    Threads,
}

/// An engine, being set up.
pub(super) enum AnyEngine {
    Reactor(Reactor),
    #[cfg(unix)]
    Threads(switchboard::Threaded),
}

/// The same call on whichever engine it is.
macro_rules! either {
    ($self:ident, $engine:ident => $call:expr) => {
        match $self {
            Self::Reactor($engine) => $call,
            #[cfg(unix)]
            Self::Threads($engine) => $call,
        }
    };
}

impl AnyEngine {
    pub(super) fn new(name: EngineName, limits: Limits) -> Result<Self, Error> {
        match name {
            EngineName::Reactor => Reactor::new(limits).map(Self::Reactor),
            #[cfg(unix)]
            EngineName::Threads => switchboard::Threaded::new(limits).map(Self::Threads),
        }
    }

    pub(super) fn add_service(&mut self, name: &str, service: Box<dyn Service + Send>) -> ServiceId {
        either!(self, engine => engine.add_service(name, service))
    }

    pub(super) fn listen(&mut self, service: ServiceId, at: &Endpoint, framing: Framing) -> Result<Endpoint, Error> {
        either!(self, engine => engine.listen(service, at, framing))
    }

    /// A pipe that gives `command`, see [`Reactor::command_pipe`].
    #[cfg(unix)]
    pub(super) fn command_pipe(&mut self, command: Command) -> io::Result<std::os::unix::net::UnixStream> {
        either!(self, engine => engine.command_pipe(command))
    }

    /// Makes a connection of what is there already, see [`Reactor::attach`].
    #[cfg(unix)]
    pub(super) fn attach(
        &mut self,
        service: ServiceId,
        input: OwnedFd,
        output: OwnedFd,
        framing: Framing,
    ) -> Result<(), Error> {
        either!(self, engine => engine.attach(service, input, output, framing))
    }

    pub(super) fn run(self) -> Result<Stats, Error> {
        either!(self, engine => engine.run())
    }
}
