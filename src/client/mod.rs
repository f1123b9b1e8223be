//! Clients of the services, as parts that a program puts together.
//!
//! It must not know a terminal or a command line. What decides is pure: [`chat::Session`] is told what happened and what time it is,
//! and says what to do. What blocks is in [`Stream`] and nowhere else.

pub mod chat;
mod stream;

pub use stream::Stream;
