//! One connection: a request goes out, bytes come in. It remembers what the socket can do, and what it has not taken yet.

use std::io;

use super::poller::{Socket, Woken};

/// A connection that stands.
pub(super) struct Line {
    socket: Socket,
    readable: bool,
    writable: bool,
    /// The part of the request that the socket has not taken yet.
    unsent: Vec<u8>,
}

impl Line {
    pub(super) fn new(socket: Socket, request: Vec<u8>) -> Self {
        // What can be read may have been there before anybody looked: trying tells.
        Self { socket, readable: true, writable: true, unsent: request }
    }

    /// What the poll says about the socket.
    pub(super) fn note(&mut self, woken: Woken) {
        self.readable |= woken.readable;
        self.writable |= woken.writable;
    }

    /// Whether there is something to do without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.readable || (self.writable && !self.unsent.is_empty())
    }

    /// Sends once; whether any bytes were taken.
    pub(super) fn send(&mut self) -> bool {
        if !self.writable || self.unsent.is_empty() {
            return false;
        }
        match settled(|| self.socket.write(&self.unsent)) {
            Ok(Some(bytes)) => drop(self.unsent.drain(..bytes)),
            Ok(None) => self.writable = false,
            // A server may answer and close before it has read the whole request. Reading tells what has happened.
            Err(_) => {
                self.unsent.clear();
                self.readable = true;
            }
        }
        self.writable
    }

    /// Reads once: so many bytes are there, 0 at the end; nothing where one would have to wait.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = if self.readable { settled(|| self.socket.read(buffer))? } else { None };
        self.readable = read.is_some();
        Ok(read)
    }
}

/// What a call on the socket has done; nothing, if it would have waited.
fn settled(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
