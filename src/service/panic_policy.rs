//! The policy for panics in callbacks, and the limit on those of one service.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The policy for a panic in a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanicPolicy {
    /// Closes the connection that the callback was about; the engine goes on.
    #[default]
    Close,
    /// Ends the engine: the panic continues in the thread that runs it.
    Abort,
}

impl PanicPolicy {
    /// The policies with their names on the command line.
    pub const NAMES: [(&'static str, Self); 2] = [("close", Self::Close), ("abort", Self::Abort)];

    /// The panics within [`WINDOW`](Self::WINDOW) that stop a service: its listeners and
    /// connections are closed, and the other services go on. Both values are those with which
    /// systemd gives a unit up (`DefaultStartLimitBurst` and `DefaultStartLimitIntervalSec`,
    /// systemd-system.conf(5)).
    pub const MAX_PANICS: usize = 5;

    /// See [`MAX_PANICS`](Self::MAX_PANICS).
    pub const WINDOW: Duration = Duration::from_secs(10);
}

impl FromStr for PanicPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, policy)| *policy).ok_or("write close or abort")
    }
}

impl fmt::Display for PanicPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, policy)| policy == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}
