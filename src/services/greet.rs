//! Says hello, once.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::frame::{TextEncoding, UnencodableError};
use crate::service::Context;
use crate::service::Service;

/// Answers the first message with a greeting that may hold it, then closes; each datagram is a first message.
#[derive(Clone, Debug)]
pub struct Greet {
    /// What stands before, between and after the message.
    pieces: Arc<[Box<[u8]>]>,
}

impl Greet {
    /// The template that [`Greet::default`] has.
    pub const TEMPLATE: &str = "hello {}";

    /// Greets with `template`, in which each `{}` stands for the message. Without one it says the same to everybody. The
    /// template is written in `encoding`; the message is bytes, and stands there as it came.
    ///
    /// # Errors
    /// [`UnencodableError`] when the encoding has not all characters of the template.
    pub fn new(template: &str, encoding: TextEncoding) -> Result<Self, UnencodableError> {
        let pieces = template.split("{}").map(|piece| Ok(encoding.encode(piece)?.into()));
        Ok(Self { pieces: pieces.collect::<Result<_, _>>()? })
    }

    fn greet(&self, cx: &mut Context<'_>, message: &[u8]) {
        cx.reply(&self.pieces.join(message));
    }
}

impl Default for Greet {
    fn default() -> Self {
        Self { pieces: Self::TEMPLATE.split("{}").map(|piece| piece.as_bytes().into()).collect() }
    }
}

impl Service for Greet {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.greet(cx, payload);
        cx.close("greeted");
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        self.greet(cx, payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(self.clone()))
    }
}
