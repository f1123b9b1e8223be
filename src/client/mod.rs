//! Clients of the services, as parts that a program puts together.
//!
//! It must not know a terminal or a command line. What decides is pure: `chat::Session` is told what happened and what time it is,
//! and says what to do. What blocks is in [`Stream`] and nowhere else.

#[cfg(feature = "cli")]
pub mod chat;
#[cfg(feature = "classic")]
pub mod exec;
#[cfg(feature = "classic")]
pub mod files;
#[cfg(feature = "cli")]
pub mod http;
mod stream;
#[cfg(feature = "classic")]
pub mod text;
mod text_socket;

pub use stream::Stream;
pub use text_socket::{TextSocket, TextSocketError};
