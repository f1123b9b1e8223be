//! The greet service: one greeting per connection.

use std::net::SocketAddr;
use std::sync::Arc;

use super::amplification::max_answer_bytes;
use crate::frame::{TextEncoding, UnencodableError};
use crate::service::{Context, Service, ServiceOptions};

/// Replies to the first message with a greeting, then closes the connection. Each datagram gets one
/// greeting; to another machine at most three times the bytes of the datagram, headers included.
#[derive(Clone, Debug)]
pub struct Greet {
    /// The parts of the template before, between and after the placeholders.
    pieces: Arc<[Box<[u8]>]>,
}

impl Greet {
    /// The template of [`Greet::default`].
    pub const TEMPLATE: &str = "hello {}";

    /// Creates a service that greets with `template`, in which each `{}` is replaced by the
    /// message. The template is sent in `encoding`; the message's bytes are inserted unchanged.
    ///
    /// # Errors
    /// [`UnencodableError`] if the encoding lacks a character of the template.
    pub fn new(template: &str, encoding: TextEncoding) -> Result<Self, UnencodableError> {
        let pieces = template.split("{}").map(|piece| Ok(encoding.encode(piece)?.into()));
        Ok(Self { pieces: pieces.collect::<Result<_, _>>()? })
    }

    /// Returns the options of this service: a clone for each connection, and a limit on the
    /// datagrams of one source.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        ServiceOptions::new(name)
            .clone_per_connection(self)
            .answers_per_second(ServiceOptions::DEFAULT_ANSWERS_PER_SECOND)
    }
}

impl Default for Greet {
    fn default() -> Self {
        Self { pieces: Self::TEMPLATE.split("{}").map(|piece| piece.as_bytes().into()).collect() }
    }
}

impl Service for Greet {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(&self.pieces.join(payload));
        cx.close("greeted");
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        let mut greeting = self.pieces.join(payload);
        // A long template would multiply the bytes of a forged datagram.
        greeting.truncate(max_answer_bytes(from, payload.len()));
        cx.reply(&greeting);
    }
}
