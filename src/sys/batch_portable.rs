//! One datagram a system call, where the platform has nothing better.

use std::io;
use std::net::SocketAddr;

use crate::datagram::{BATCH, Incoming, Outgoing};

/// A nonblocking UDP socket.
pub(crate) trait Datagrams {
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<usize>;
}

impl Datagrams for mio::net::UdpSocket {
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        mio::net::UdpSocket::recv_from(self, buffer)
    }

    fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<usize> {
        mio::net::UdpSocket::send_to(self, payload, to)
    }
}

/// Loops over the single calls.
pub(crate) struct Batcher;

impl Batcher {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Receives up to [`BATCH`] datagrams; fewer means that no more are there.
    pub(crate) fn receive(&mut self, socket: &impl Datagrams, into: &mut Incoming) -> io::Result<usize> {
        let Incoming { storage, heads } = into;
        heads.clear();
        for buffer in Incoming::buffers(storage).take(BATCH) {
            match socket.recv_from(buffer) {
                Ok((len, from)) => heads.push((from, len)),
                Err(error) if heads.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(heads.len())
    }

    /// Sends up to [`BATCH`] datagrams from number `first` on; returns how many went out, which is at least one.
    pub(crate) fn send(&mut self, socket: &impl Datagrams, from: &Outgoing, first: usize) -> io::Result<usize> {
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
