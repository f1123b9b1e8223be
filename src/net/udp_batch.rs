//! Batches of datagrams: what one system call received, and what the next will send.

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod recvmmsg;

#[cfg(not(target_os = "linux"))]
pub(crate) use portable::Batcher;
#[cfg(target_os = "linux")]
pub(crate) use recvmmsg::Batcher;

use std::net::SocketAddr;

use crate::frame::EncodeError;

/// Datagrams received with one call. More would cost memory and gain nothing: the call itself is amortised long before.
pub(crate) const BATCH: usize = 64;

/// The longest payload a UDP datagram over IPv4 can have: 65,535 less the IP and UDP heads (RFC 768, RFC 791).
pub(crate) const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Datagrams that may wait for one socket.
const MAX_WAITING: usize = 16 * 1024;

/// Bytes from one datagram's buffer to the next. A datagram fits whole (over IPv6 one has up to 65,527 bytes); the extra cache
/// lines keep buffers off each other's cache sets, where a stride of 64 KiB would put them all.
const STRIDE: usize = 64 * 1024 + 192;

/// Whether a datagram from `addr` claims to come from the socket bound to `local`.
pub(crate) fn claims_to_be(addr: SocketAddr, local: SocketAddr) -> bool {
    let anywhere = local.ip().is_unspecified() && addr.ip().is_loopback();
    local.port() == addr.port() && (local.ip() == addr.ip() || anywhere)
}

/// Room for the datagrams of one receive call. The memory is reserved once; pages that no datagram reaches are never touched.
pub(crate) struct ReceiveBatch {
    pub(crate) storage: Box<[u8]>,
    pub(crate) heads: Vec<(SocketAddr, usize)>,
}

impl ReceiveBatch {
    pub(crate) fn new() -> Self {
        Self { storage: vec![0; BATCH * STRIDE].into_boxed_slice(), heads: Vec::with_capacity(BATCH) }
    }

    pub(crate) fn buffers(storage: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
        storage.chunks_exact_mut(STRIDE)
    }

    /// Datagram number `at` of those received last.
    pub(crate) fn get(&self, at: usize) -> Option<(SocketAddr, &[u8])> {
        let (from, len) = *self.heads.get(at)?;
        let start = at * STRIDE;
        Some((from, self.storage.get(start..start + len)?))
    }
}

/// Datagrams to be sent, in order.
#[derive(Default)]
pub(crate) struct SendBatch {
    bytes: Vec<u8>,
    heads: Vec<(SocketAddr, usize)>,
    /// Datagrams that were too long to be queued.
    refused: u64,
}

impl SendBatch {
    pub(crate) fn push(&mut self, to: SocketAddr, payload: &[u8]) -> Result<(), EncodeError> {
        if payload.len() > MAX_DATAGRAM_BYTES {
            let max_bytes = MAX_DATAGRAM_BYTES as u64;
            self.refused += 1;
            return Err(EncodeError::TooLong { payload_bytes: payload.len(), max_bytes });
        }
        self.bytes.extend_from_slice(payload);
        self.heads.push((to, self.bytes.len()));
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether no more should wait. An empty datagram is not nothing, so their number is bounded, too.
    pub(crate) fn is_full(&self, max_bytes: usize) -> bool {
        self.bytes.len() >= max_bytes || self.heads.len() >= MAX_WAITING
    }

    pub(crate) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Datagrams from number `first` on.
    pub(crate) fn iter_from(&self, first: usize) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let start = first.checked_sub(1).and_then(|before| self.heads.get(before)).map_or(0, |(_, end)| *end);
        self.heads.iter().skip(first).scan(start, |start, (to, end)| {
            let payload = self.bytes.get(*start..*end).unwrap_or_default();
            *start = *end;
            Some((*to, payload))
        })
    }

    /// Forgets the first `count` datagrams: they went out.
    pub(crate) fn forget_first(&mut self, count: usize) {
        let Some((_, gone)) = count.checked_sub(1).and_then(|last| self.heads.get(last)).copied() else { return };
        self.bytes.drain(..gone);
        self.heads.drain(..count);
        self.heads.iter_mut().for_each(|(_, end)| *end -= gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn datagrams_keep_their_bounds_and_order_when_some_have_gone() {
        let mut outgoing = SendBatch::default();
        let all: [(SocketAddr, &[u8]); 5] =
            [(to(1), b"one"), (to(2), b""), (to(3), b"three"), (to(1), b"four"), (to(4), b"")];
        for (to, payload) in all {
            outgoing.push(to, payload).unwrap();
        }
        for gone in 0..=all.len() {
            assert_eq!(outgoing.iter_from(gone).collect::<Vec<_>>(), all[gone..]);
        }
        for (first, gone) in [(0, 0), (0, 2), (2, 1), (3, 2)] {
            outgoing.forget_first(gone);
            let left = &all[first + gone..];
            assert_eq!(outgoing.iter_from(0).collect::<Vec<_>>(), left);
            assert_eq!(outgoing.bytes.len(), left.iter().map(|(_, payload)| payload.len()).sum::<usize>());
            assert_eq!((outgoing.len(), outgoing.is_empty()), (left.len(), left.is_empty()));
        }
    }

    #[test]
    fn a_payload_beyond_what_a_datagram_holds_is_refused() {
        let mut outgoing = SendBatch::default();
        assert!(outgoing.push(to(1), &vec![0; MAX_DATAGRAM_BYTES]).is_ok());
        let error =
            EncodeError::TooLong { payload_bytes: MAX_DATAGRAM_BYTES + 1, max_bytes: MAX_DATAGRAM_BYTES as u64 };
        assert_eq!(outgoing.push(to(1), &vec![0; MAX_DATAGRAM_BYTES + 1]), Err(error));
        assert_eq!(outgoing.len(), 1);
    }

    #[test]
    fn received_datagrams_are_found_where_their_buffers_lie() {
        let mut incoming = ReceiveBatch::new();
        assert_eq!(ReceiveBatch::buffers(&mut incoming.storage).count(), BATCH);
        for (at, buffer) in ReceiveBatch::buffers(&mut incoming.storage).enumerate() {
            assert!(buffer.len() >= 65_527);
            buffer[..2].copy_from_slice(&u16::try_from(at).unwrap().to_be_bytes());
        }
        incoming.heads = (0..3).map(|at| (to(at), usize::from(at.min(2)))).collect();
        assert_eq!(incoming.get(0), Some((to(0), &b""[..])));
        assert_eq!(incoming.get(2), Some((to(2), &[0, 2][..])));
        assert_eq!(incoming.get(3), None);
    }
}
