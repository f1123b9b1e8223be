//! Sockets, and what differs between operating systems, each with a portable fallback.
//!
//! A platform without an implementation of its own runs the fallback.

pub(crate) mod bind;
mod descriptors;
mod endpoint;
#[cfg(unix)]
mod nonblocking_file;
#[cfg(unix)]
mod notifier;
mod socket_options;
pub(crate) mod udp_batch;

pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use endpoint::{Endpoint, ParseEndpointError};
#[cfg(unix)]
pub(crate) use nonblocking_file::NonblockingFile;
#[cfg(unix)]
pub(crate) use notifier::Notifier;
pub(crate) use socket_options::ACCEPTED_INHERIT_OPTIONS;
#[cfg(unix)]
pub(crate) use socket_options::SEND_NOW;
