//! The services that come with the library. They know nothing but [`Service`](crate::Service) and what it is made of: no socket,
//! no clock, no engine.

#[cfg(feature = "chat")]
pub mod chat;
mod echo;
#[cfg(feature = "classic")]
pub mod exec;
#[cfg(feature = "classic")]
pub mod files;

pub use echo::{Echo, WorkingEcho};
