//! A UDP socket, which its own thread reads and any thread may send from.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use crate::service::ServiceId;

/// A bound UDP socket and its service.
pub(super) struct UdpBinding {
    pub(super) socket: UdpSocket,
    pub(super) local: SocketAddr,
    pub(super) service: ServiceId,
}

impl UdpBinding {
    /// Sends one datagram without waiting. Fails if the socket is full.
    pub(super) fn send(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(payload, to).map(drop)
    }
}
