//! The description of a built-in service.

use switchboard::{Endpoint, Framing, Service};

use super::args::ServiceArgs;
use crate::cli::error::CliError;

/// Where a service is to listen, and how each listener is framed.
pub(super) type Listeners = [(Endpoint, Framing)];

/// A service, and how it is served when nothing else is said.
#[derive(Clone, Copy)]
pub(in crate::cli) struct BuiltinService {
    pub(in crate::cli) name: &'static str,
    /// What it does, for the help.
    pub(in crate::cli) about: &'static str,
    /// Where it listens, in the words of `--listen`.
    pub(in crate::cli) default_listen: &'static [&'static str],
    /// How it is framed on listeners without a framing of their own.
    pub(in crate::cli) framing: fn(&ServiceArgs) -> Framing,
    /// Whether it is among those that are served when none is named: it needs no word about what it may do.
    pub(in crate::cli) is_default: bool,
    /// Whether it answers datagrams.
    pub(in crate::cli) datagrams: bool,
    /// The headings of the help under which the flags stand that mean something to it.
    pub(in crate::cli) headings: &'static [&'static str],
    /// Whether it can be what was wished, where it is to listen.
    pub(in crate::cli) check: fn(&ServiceArgs, &Listeners) -> Result<(), CliError>,
    /// Makes it as it was wished.
    pub(in crate::cli) make: fn(&ServiceArgs) -> Result<Box<dyn Service + Send>, CliError>,
    /// A command for a shell that tries it as it was wished, at this endpoint with this framing. `PROGRAM` and `ADDR` stand for
    /// this program and the address, with its transport where that is not TCP.
    pub(in crate::cli) example: fn(&ServiceArgs, &Endpoint, Framing) -> Option<String>,
}

impl std::fmt::Debug for BuiltinService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// For services of which nothing can be wished that they could not be.
#[expect(clippy::unnecessary_wraps, reason = "others refuse")]
pub(super) fn accept_any(_: &ServiceArgs, _: &Listeners) -> Result<(), CliError> {
    Ok(())
}
