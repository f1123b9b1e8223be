//! A UDP socket that sends and receives text in a chosen encoding: each text is one datagram.
//!
//! This module must not know requests or replies. It never truncates a datagram silently: a
//! datagram that exceeds the limit, or that is invalid in the encoding, is an error. The socket
//! stays usable and receives the next datagram.

mod error;
mod socket;

pub use error::TextSocketError;
pub use socket::TextSocket;
