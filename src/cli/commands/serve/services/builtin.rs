//! The description of a built-in service.

use clap::Arg;
use switchboard::{Endpoint, Framing, Service, ServiceOptions};

use super::args::ServiceArgs;
use crate::cli::error::CliError;

/// Endpoints on which a service listens, with the framing of each.
pub(super) type Listeners = [PlannedListener];

/// An endpoint on which a service is to listen.
#[derive(Debug)]
pub(in crate::cli) struct PlannedListener {
    pub(in crate::cli) endpoint: Endpoint,
    pub(in crate::cli) framing: Framing,
    /// Number of the `listen` value from which it follows, from 0. A name may resolve to several
    /// endpoints.
    pub(in crate::cli) index: usize,
    /// That value.
    pub(in crate::cli) written: String,
    pub(in crate::cli) source: ListenSource,
}

/// The place where an address was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum ListenSource {
    /// It is a default of the service, or follows from `--port-base`.
    Default,
    /// It is a value of `--listen`.
    Flag,
    /// A configuration file, with the position: `FILE:LINE`.
    File(String),
}

impl ListenSource {
    /// Returns the position in a configuration file.
    pub(in crate::cli) fn position(&self) -> Option<&str> {
        match self {
            Self::File(position) => Some(position),
            Self::Default | Self::Flag => None,
        }
    }
}

/// A new service and the options with which it is added to an engine.
pub(in crate::cli) type MadeService = (ServiceOptions, Box<dyn Service + Send>);

/// A new service, or the error in its options.
pub(super) type MakeResult = Result<MadeService, ServiceArgError>;

/// A built-in service and its defaults.
#[derive(Clone, Copy)]
pub(in crate::cli) struct BuiltinService {
    pub(in crate::cli) name: &'static str,
    /// Description for the help.
    pub(in crate::cli) about: &'static str,
    /// Default addresses, in the form of `--listen`.
    pub(in crate::cli) default_listen: &'static [&'static str],
    /// Returns the framing of listeners for which none is given.
    pub(in crate::cli) framing: fn(&ServiceArgs) -> Framing,
    /// True if it runs when no service is named, because it needs no configuration.
    pub(in crate::cli) is_default: bool,
    /// True if it supports UDP.
    pub(in crate::cli) supports_udp: bool,
    /// Names of its own options.
    pub(in crate::cli) options: &'static [&'static str],
    /// Completes the definition of an own option that other services have, too.
    pub(in crate::cli) refine: fn(Arg) -> Arg,
    /// Examples and other sections at the end of its help.
    pub(in crate::cli) help: &'static str,
    /// Checks its options against its listeners.
    pub(in crate::cli) check: fn(&ServiceArgs, &Listeners) -> Result<(), ServiceArgError>,
    /// Creates the service.
    pub(in crate::cli) make: fn(&ServiceArgs) -> MakeResult,
    /// Returns a shell command that tries the service out at an endpoint with a framing. `PROGRAM`
    /// and `ADDR` stand for this program and for the address, with a transport prefix unless it is
    /// TCP.
    pub(in crate::cli) example: fn(&ServiceArgs, &Endpoint, Framing) -> Option<String>,
}

impl BuiltinService {
    /// Returns a sentence with the default addresses and framing, for the help.
    pub(in crate::cli) fn defaults(&self) -> String {
        let framing = (self.framing)(&ServiceArgs::default());
        format!("Default addresses: {}; default framing: {framing}.", self.default_listen.join(" "))
    }
}

/// An error in the options of a service.
#[derive(Debug)]
pub(in crate::cli) struct ServiceArgError {
    pub(in crate::cli) culprit: Culprit,
    pub(in crate::cli) error: CliError,
}

/// The part of a service's arguments that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Culprit {
    /// None of those given.
    Service,
    /// The listener at this index.
    Listener(usize),
    /// The framing of the listener at this index.
    Framing(usize),
    /// The option of this name.
    Option(&'static str),
    /// A value of the option of this name: the one at the index, from 0.
    Value(&'static str, usize),
}

impl Culprit {
    /// Returns a usage error about this part.
    pub(super) fn usage(self, text: String) -> ServiceArgError {
        self.error(CliError::Usage(text))
    }

    /// Returns an error about this part.
    pub(in crate::cli) fn error(self, error: CliError) -> ServiceArgError {
        ServiceArgError { culprit: self, error }
    }
}

impl std::fmt::Debug for BuiltinService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The `check` of services that accept all flags and listeners.
#[expect(clippy::unnecessary_wraps, reason = "other checks return errors")]
pub(super) fn accept_any(_: &ServiceArgs, _: &Listeners) -> Result<(), ServiceArgError> {
    Ok(())
}
