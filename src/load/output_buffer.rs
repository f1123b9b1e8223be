//! The output that one socket has not taken yet. It holds the rest of at most one batch, because
//! nothing is added while a rest is left.

use std::io;

use super::net::LoadSocket;
use super::write_batch::WriteBatch;

/// The pending output of one connection.
pub(super) struct OutputBuffer {
    /// The bytes of a batch that the socket did not take at once.
    rest: Vec<u8>,
    /// Bytes of `rest` that have been written.
    written: usize,
    /// The last write did not block, so the socket may take more.
    writable: bool,
    /// The reason why this machine does not send a datagram. No event reports the end of such a
    /// condition, so the driver retries.
    pub(super) local_error: Option<io::Error>,
}

impl OutputBuffer {
    pub(super) fn new(writable: bool) -> Self {
        Self { rest: Vec::new(), written: 0, writable, local_error: None }
    }

    /// Notes that the kernel has reported the socket as writable; returns true if it was blocked.
    pub(super) fn set_writable(&mut self) -> bool {
        !std::mem::replace(&mut self.writable, true)
    }

    /// Writes the pending bytes; returns true if none are left and the socket may take more.
    #[inline]
    pub(super) fn flush(&mut self, socket: &LoadSocket) -> io::Result<bool> {
        self.local_error = None;
        while self.writable && self.local_error.is_none() && self.written < self.rest.len() {
            match socket.write(self.rest.get(self.written..).unwrap_or_default()) {
                Ok(written) => self.written += written,
                Err(error) => {
                    if self.handle_error(socket, error)?.is_some() {
                        self.written = self.rest.len();
                    }
                }
            }
        }
        if self.written > 0 && self.written == self.rest.len() {
            (self.rest, self.written) = (Vec::new(), 0);
        }
        Ok(self.writable && self.rest.is_empty())
    }

    /// Appends bytes, which the next [`flush`](Self::flush) writes.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// Writes the batch, whose sections refer to `table`, and keeps the bytes that the socket does
    /// not take. Sets `udp_error` if the network reports an error about a datagram.
    #[inline]
    pub(super) fn write_batch(
        &mut self,
        socket: &LoadSocket,
        batch: &WriteBatch,
        table: &[u8],
        udp_error: &mut Option<io::Error>,
    ) -> io::Result<()> {
        let mut written = 0;
        while self.writable && self.local_error.is_none() {
            match batch.write(socket, table) {
                Ok(bytes) => {
                    written = bytes;
                    break;
                }
                Err(error) => {
                    if let Some(report) = self.handle_error(socket, error)? {
                        *udp_error = Some(report);
                        return Ok(());
                    }
                }
            }
        }
        if written < batch.len() {
            self.writable &= !socket.short_io_means_blocked();
            batch.copy_rest(written, table, &mut self.rest);
        }
        Ok(())
    }

    /// Handles the error of a write. Returns a report of the network, which the kernel returns
    /// instead of sending: the datagram is lost.
    fn handle_error(&mut self, socket: &LoadSocket, error: io::Error) -> io::Result<Option<io::Error>> {
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => self.writable = false,
            _ if socket.is_datagram() && is_network_report(&error) => return Ok(Some(error)),
            _ if socket.is_datagram() => self.local_error = Some(error),
            _ => return Err(error),
        }
        Ok(None)
    }
}

/// Returns true if the network reports that an earlier datagram was not delivered: see `IP_RECVERR`
/// in ip(7). Any other error (a full queue, a firewall rule) concerns the current datagram and this
/// machine, so the server is not charged for it.
fn is_network_report(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, UdpSocket};

    use super::*;
    use crate::net::Endpoint;

    /// A full send queue is hard to produce; a socket shut down for writing fails for a local
    /// reason, too.
    #[test]
    fn a_datagram_is_kept_after_a_local_error() {
        let target = Endpoint::Udp(UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let socket = LoadSocket::connect(&target).unwrap();
        let LoadSocket::Udp(udp) = &socket else { panic!("not a datagram socket") };
        socket2::SockRef::from(udp).shutdown(Shutdown::Write).unwrap();
        let (mut output, mut batch, mut udp_error) = (OutputBuffer::new(true), WriteBatch::new(1), None);
        batch.bytes.extend_from_slice(&[7; 64]);
        output.write_batch(&socket, &batch, &[], &mut udp_error).unwrap();
        for _ in 0..2 {
            assert!(output.local_error.is_some() && udp_error.is_none());
            assert_eq!(output.rest.len(), 64);
            assert!(!output.flush(&socket).unwrap());
        }
    }
}
