//! The description of a built-in service.

use switchboard::{Endpoint, Framing, Service, ServiceOptions};

use super::args::ServiceArgs;
use crate::cli::error::CliError;

/// Endpoints on which a service listens, with the framing of each.
pub(super) type Listeners = [(Endpoint, Framing)];

/// A service and the options with which it is added to an engine.
pub(in crate::cli) type MadeService = (ServiceOptions, Box<dyn Service + Send>);

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
    /// Help headings of the flags that apply to it.
    pub(in crate::cli) headings: &'static [&'static str],
    /// Checks its flags against its listeners.
    pub(in crate::cli) check: fn(&ServiceArgs, &Listeners) -> Result<(), CliError>,
    /// Creates the service and its options.
    pub(in crate::cli) make: fn(&ServiceArgs) -> Result<MadeService, CliError>,
    /// Returns a shell command that tries the service out at an endpoint with a framing. `PROGRAM`
    /// and `ADDR` stand for this program and for the address, with a transport prefix unless it is
    /// TCP.
    pub(in crate::cli) example: fn(&ServiceArgs, &Endpoint, Framing) -> Option<String>,
}

impl std::fmt::Debug for BuiltinService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The `check` of services that accept all flags and listeners.
#[expect(clippy::unnecessary_wraps, reason = "other checks return errors")]
pub(super) fn accept_any(_: &ServiceArgs, _: &Listeners) -> Result<(), CliError> {
    Ok(())
}
