//! One datagram per system call, for platforms without recvmmsg(2).

use std::io;
use std::net::UdpSocket;

use super::batch::{BATCH, ReceiveBatch, SendBatch};

/// Receives and sends batches on nonblocking sockets, with one call per datagram.
pub(crate) struct UdpBatchIo;

impl UdpBatchIo {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Receives up to `into.limit` datagrams; returns their number. Fewer than the limit means that
    /// the socket is empty.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, into: &mut ReceiveBatch) -> io::Result<usize> {
        let ReceiveBatch { storage, heads, limit } = into;
        heads.clear();
        let mut buffers = ReceiveBatch::buffers(storage);
        let mut buffer = buffers.next();
        // An error may belong to a datagram sent earlier (ICMP), while received datagrams still
        // wait: only `WouldBlock` ends a batch early.
        for _ in 0..*limit {
            let Some(room) = buffer.as_deref_mut() else { break };
            match socket.recv_from(room) {
                Ok((len, from)) => {
                    heads.push((from, len));
                    buffer = buffers.next();
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                Err(error) if heads.is_empty() => return Err(error),
                Err(_) => return Ok(heads.len()),
            }
        }
        // More datagrams may wait even after an incomplete batch: the next call finds out.
        if heads.is_empty() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(heads.len()) }
    }

    /// Sends up to [`BATCH`] datagrams of `from`, starting with number `first`; returns the number
    /// sent, at least one.
    pub(crate) fn send(&mut self, socket: &UdpSocket, from: &SendBatch, first: usize) -> io::Result<usize> {
        let mut sent = 0;
        for (to, payload) in from.iter_from(first).take(BATCH) {
            match socket.send_to(payload, to) {
                Ok(_) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }
}
