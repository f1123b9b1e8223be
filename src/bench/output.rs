//! What one socket has not taken yet. It holds the rest of one batch at most, because nothing is added while something is left.

use std::io;

use super::client::End;
use super::kit::Kit;
use super::net::Socket;

/// A connection's output.
pub(super) struct Output {
    /// What the socket has not taken of a batch that it has begun to take.
    rest: Vec<u8>,
    /// How much of that it has.
    taken: usize,
    /// Whether it may take more, as far as is known.
    writable: bool,
}

impl Output {
    pub(super) fn new(writable: bool) -> Self {
        Self { rest: Vec::new(), taken: 0, writable }
    }

    /// The system says that the socket takes more; returns whether that is news.
    pub(super) fn unblock(&mut self) -> bool {
        !std::mem::replace(&mut self.writable, true)
    }

    /// Sends what an earlier write left; `true` when nothing is left and the socket may take more.
    #[inline]
    pub(super) fn flush(&mut self, socket: &mut Socket) -> Result<bool, End> {
        while self.writable && self.taken < self.rest.len() {
            match socket.write(self.rest.get(self.taken..).unwrap_or_default()) {
                Ok(taken) => self.taken += taken,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.writable = false,
                    // It is about a datagram sent before. This one is lost if that was right.
                    _ if socket.is_datagram() => self.taken = self.rest.len(),
                    _ => return Err(End::Broken),
                },
            }
        }
        if self.taken > 0 && self.taken == self.rest.len() {
            (self.rest, self.taken) = (Vec::new(), 0);
        }
        Ok(self.writable && self.rest.is_empty())
    }

    /// Offers the batch to the socket, and keeps what it does not take.
    #[inline]
    pub(super) fn write(&mut self, socket: &mut Socket, kit: &mut Kit) -> Result<(), End> {
        let taken = loop {
            match kit.batch.write(socket, &kit.images) {
                Ok(taken) => break taken,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        self.writable = false;
                        break 0;
                    }
                    _ if socket.is_datagram() => {
                        kit.refusal = Some(error);
                        return Ok(());
                    }
                    _ => return Err(End::Broken),
                },
            }
        };
        if taken < kit.batch.len() {
            self.writable &= !socket.short_means_done();
            kit.batch.copy_rest(taken, &kit.images, &mut self.rest);
        }
        Ok(())
    }
}
