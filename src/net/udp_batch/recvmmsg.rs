//! Many datagrams per system call: recvmmsg(2) and sendmmsg(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use super::batch::{BATCH, ReceiveBatch, SendBatch};

/// The structures of the receive call, allocated once for the sockets of one address family.
///
/// One value must not serve both families: the kernel writes the length of each sender's address
/// into the field that gives the space for the next address. After an IPv4 sender an IPv6 address
/// would be truncated.
pub(crate) struct UdpBatchIo {
    received: MultiHeaders<SockaddrStorage>,
}

impl UdpBatchIo {
    pub(crate) fn new() -> Self {
        Self { received: MultiHeaders::preallocate(BATCH, None) }
    }

    /// Receives up to `into.limit` datagrams; returns their number. Fewer than the limit means that
    /// the socket is empty.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, into: &mut ReceiveBatch) -> io::Result<usize> {
        let ReceiveBatch { storage, heads, limit } = into;
        heads.clear();
        let mut buffers = ReceiveBatch::buffers(storage);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.received,
            slices.iter_mut().take(*limit),
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        for message in received {
            // A socket bound to an IP address receives from IP addresses only.
            let from = message.address.as_ref().and_then(to_std);
            heads.push((from.unwrap_or(UNSPECIFIED), message.bytes));
        }
        Ok(heads.len())
    }

    /// Sends up to [`BATCH`] datagrams of `from`, starting with number `first`; returns the number
    /// sent, at least one.
    #[allow(
        clippy::unused_self,
        reason = "one type serves both directions, and the portable version has the same signature"
    )]
    pub(crate) fn send(&mut self, socket: &UdpSocket, from: &SendBatch, first: usize) -> io::Result<usize> {
        let mut targets: [_; BATCH] = std::array::from_fn(|_| (None, [IoSlice::new(&[])]));
        let mut controls = [const { None }; BATCH];
        for ((to, slice), (address, payload)) in targets.iter_mut().zip(from.iter_from(first)) {
            *to = Some(SocketAddrAny::from(address));
            *slice = [IoSlice::new(payload)];
        }
        let headers = targets.iter().zip(&mut controls).map_while(|((to, slice), control)| {
            let control = control.get_or_insert_with(SendAncillaryBuffer::default);
            Some(MMsgHdr::new_with_addr(to.as_ref()?, slice, control))
        });
        let mut headers: Vec<_> = headers.collect();
        Ok(sendmmsg(socket, &mut headers, SendFlags::DONTWAIT)?)
    }
}

const UNSPECIFIED: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6))))
}
