//! The upper service: sends every payload back in upper case.

use std::net::SocketAddr;

use crate::service::{Context, Service, ServiceOptions};

/// Sends each payload back with its lower-case ASCII letters in upper case. That is right for UTF-8
/// and for single-byte encodings. In GBK, Big5 and `Shift_JIS` the second byte of a character may
/// be an ASCII letter, and then the character changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper;

impl Upper {
    /// Returns the options of this service: a clone for each connection, and a limit on the
    /// datagrams of one source.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        ServiceOptions::new(name)
            .clone_per_connection(self)
            .answers_per_second(ServiceOptions::DEFAULT_ANSWERS_PER_SECOND)
    }
}

impl Service for Upper {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(&payload.to_ascii_uppercase());
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        self.on_frame(cx, payload);
    }
}
