//! The connection of one request: its remembered readiness, and the part of the request that is not
//! sent yet.

use std::io;

use super::poller::{HttpSocket, PollEvents};

/// An established connection.
pub(super) struct HttpConnection {
    socket: HttpSocket,
    readable: bool,
    /// False after a read that would block, until the next readable event.
    writable: bool,
    /// The part of the request that is not sent yet.
    unsent: Vec<u8>,
}

impl HttpConnection {
    pub(super) fn new(socket: HttpSocket, request: Vec<u8>) -> Self {
        // Edge-triggered: data may have arrived before the registration, so the first read must
        // try.
        Self { socket, readable: true, writable: true, unsent: request }
    }

    /// Records the readiness that the poll reported.
    pub(super) fn handle_events(&mut self, events: PollEvents) {
        self.readable |= events.readable;
        self.writable |= events.writable;
    }

    /// Returns true if the connection can make progress without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.readable || (self.writable && !self.unsent.is_empty())
    }

    /// Writes once. Returns false if the request is already sent, or if the write would block.
    pub(super) fn send(&mut self) -> bool {
        if !self.writable || self.unsent.is_empty() {
            return false;
        }
        match try_io(|| self.socket.write(&self.unsent)) {
            Ok(Some(bytes)) => drop(self.unsent.drain(..bytes)),
            Ok(None) => self.writable = false,
            // A server may respond and close before it reads the whole request; the write then
            // fails with EPIPE or ECONNRESET. The next read returns the response or the error.
            Err(_) => {
                self.unsent.clear();
                self.readable = true;
            }
        }
        self.writable
    }

    /// Reads once. Returns the number of bytes, 0 at the end of the stream, and `None` if the read
    /// would block.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = if self.readable { try_io(|| self.socket.read(buffer))? } else { None };
        self.readable = read.is_some();
        Ok(read)
    }
}

/// Runs `call` until it is not interrupted. Returns `None` if it would block.
fn try_io(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
