//! Sockets, and what differs between Unix systems.
//!
//! A platform without an implementation of its own runs the fallback.

pub(crate) mod bind;
#[cfg(feature = "cli")]
mod connect;
mod descriptors;
mod endpoint;
mod listener;
mod nonblocking_file;
mod notifier;
mod resolution;
#[cfg(shuttle)]
pub(crate) mod shuttled;
mod socket_options;
mod stream;
mod tcp_info;
pub(crate) mod udp_batch;
mod wait;
mod zone;

pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use endpoint::{Endpoint, ParseEndpointError};
pub(crate) use listener::StreamListener;
pub(crate) use nonblocking_file::NonblockingFile;
#[cfg(feature = "cli")]
pub(crate) use resolution::Resolution;
#[cfg(shuttle)]
pub(crate) use shuttled::{Notifier, wait};
pub use stream::SocketStream;
#[cfg(not(shuttle))]
pub(crate) use {notifier::Notifier, wait::wait};
