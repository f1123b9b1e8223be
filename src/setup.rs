//! What every engine does before it runs: it keeps its services under the names that the log uses, and fits its limits to the
//! process. Knows no engine.

use crate::limits::Limits;
use crate::service::Service;
use crate::sys;

/// Descriptors kept for what is not a connection: standard streams, the poll instance, files that services open, and
/// newcomers that are told that the server is full.
const RESERVED_DESCRIPTORS: usize = 100;

/// A service and its name in the log.
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) service: Box<dyn Service + Send>,
}

/// Lowers `max_connections` to what the process's descriptor limit leaves room for, with a line in the log. A connection takes
/// `each` descriptors.
pub(crate) fn fit_to_descriptors(limits: &mut Limits, each: usize) {
    let Some(descriptors) = sys::descriptor_limit().and_then(|limit| usize::try_from(limit).ok()) else { return };
    let room = descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(descriptors / 2) / each;
    let room = room.max(1);
    if limits.max_connections > room {
        // What nobody asked for is no loss to be warned of.
        let level = if limits.max_connections == Limits::default().max_connections {
            log::Level::Info
        } else {
            log::Level::Warn
        };
        log::log!(
            level,
            "max-connections lowered from {} to {room}: this process may open {descriptors} descriptors (ulimit -n)",
            limits.max_connections
        );
        limits.max_connections = room;
    }
}
