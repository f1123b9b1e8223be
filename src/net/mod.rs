//! Sockets, and what differs between operating systems, each with a portable fallback.
//!
//! A platform without an implementation of its own runs the fallback.

pub(crate) mod bind;
mod descriptors;
mod endpoint;
#[cfg(unix)]
mod notifier;
#[cfg(unix)]
mod reopen;
mod socket_options;
pub(crate) mod udp_batch;

pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use endpoint::{Endpoint, ParseEndpointError};
#[cfg(unix)]
pub(crate) use notifier::Notifier;
#[cfg(unix)]
pub(crate) use reopen::NonblockingFile;
pub(crate) use socket_options::ACCEPTED_INHERIT_OPTIONS;
#[cfg(unix)]
pub(crate) use socket_options::SEND_NOW;
