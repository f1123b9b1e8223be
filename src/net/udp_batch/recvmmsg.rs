//! Many datagrams a system call: recvmmsg(2) and sendmmsg(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use super::{BATCH, ReceiveBatch, SendBatch};

/// A nonblocking UDP socket.
pub(crate) trait Datagrams: AsRawFd + AsFd {}

impl<T: AsRawFd + AsFd> Datagrams for T {}

/// The receiving call's own structures, allocated once, for sockets of one address family: they keep the length of the last
/// sender's address as the room for the next, and an IPv6 address would be cut after an IPv4 one.
pub(crate) struct Batcher {
    received: MultiHeaders<SockaddrStorage>,
}

impl Batcher {
    pub(crate) fn new() -> Self {
        Self { received: MultiHeaders::preallocate(BATCH, None) }
    }

    /// Receives up to [`BATCH`] datagrams; fewer means that no more are there.
    pub(crate) fn receive(&mut self, socket: &impl Datagrams, into: &mut ReceiveBatch) -> io::Result<usize> {
        let ReceiveBatch { storage, heads } = into;
        heads.clear();
        let mut buffers = ReceiveBatch::buffers(storage);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let received = recvmmsg(socket.as_raw_fd(), &mut self.received, &mut slices, MsgFlags::MSG_DONTWAIT, None)?;
        for message in received {
            // A socket bound to an IP address hears from nothing else.
            let from = message.address.as_ref().and_then(to_std);
            heads.push((from.unwrap_or(NOWHERE), message.bytes));
        }
        Ok(heads.len())
    }

    /// Sends up to [`BATCH`] datagrams from number `first` on; returns how many went out, which is at least one.
    #[allow(clippy::unused_self, reason = "the two directions are one type, and elsewhere this one may need it")]
    pub(crate) fn send(&mut self, socket: &impl Datagrams, from: &SendBatch, first: usize) -> io::Result<usize> {
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

const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6))))
}
