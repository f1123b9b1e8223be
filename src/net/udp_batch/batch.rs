//! The two batches of datagrams: one receive call fills a [`ReceiveBatch`], send calls empty a
//! [`SendBatch`].

use std::net::SocketAddr;

use crate::frame::EncodeError;

/// Datagrams that one call receives at most. A larger batch would cost memory without a gain: at 64
/// the call's own cost is already spread thin.
pub(crate) const BATCH: usize = 64;

/// The longest payload of a UDP datagram over IPv4, in bytes: 65,535 less the headers of IP, which
/// the length of IPv4 includes, and UDP (RFC 768, RFC 791).
pub(crate) const MAX_IPV4_DATAGRAM_BYTES: usize = 65_507;

/// The longest payload of a UDP datagram over IPv6, in bytes: 65,535 less the header of UDP (RFC
/// 8200, section 3).
pub(crate) const MAX_IPV6_DATAGRAM_BYTES: usize = 65_527;

/// Datagrams that may be queued for one socket.
const MAX_QUEUED: usize = 16 * 1024;

/// Bytes from the start of one datagram's buffer to the start of the next. The largest datagram
/// fits (65,527 bytes over IPv6). The three extra cache lines spread the buffers over the cache
/// sets; with a stride of exactly 64 KiB all of them would share one set.
const STRIDE: usize = 64 * 1024 + 192;

/// Returns the longest payload of a datagram to `addr`, in bytes.
pub(crate) fn max_datagram_bytes(addr: SocketAddr) -> usize {
    // A mapped address is reached over IPv4.
    if addr.ip().to_canonical().is_ipv4() { MAX_IPV4_DATAGRAM_BYTES } else { MAX_IPV6_DATAGRAM_BYTES }
}

/// Returns true if a datagram from `addr` claims to come from the socket that is bound to `local`.
pub(crate) fn claims_to_be(addr: SocketAddr, local: SocketAddr) -> bool {
    let wildcard = local.ip().is_unspecified() && addr.ip().is_loopback();
    local.port() == addr.port() && (local.ip() == addr.ip() || wildcard)
}

/// Buffers for the datagrams of one receive call. The memory is allocated once; the kernel commits
/// only the pages that a datagram has reached.
pub(crate) struct ReceiveBatch {
    pub(crate) storage: Box<[u8]>,
    /// The sender and the length of each received datagram.
    pub(crate) heads: Vec<(SocketAddr, usize)>,
    /// The most datagrams that the next call receives, from 1 to [`BATCH`].
    pub(crate) limit: usize,
}

impl ReceiveBatch {
    pub(crate) fn new() -> Self {
        Self { storage: vec![0; BATCH * STRIDE].into_boxed_slice(), heads: Vec::with_capacity(BATCH), limit: BATCH }
    }

    /// Splits `storage` into one buffer per datagram.
    pub(crate) fn buffers(storage: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
        storage.chunks_exact_mut(STRIDE)
    }

    /// Returns the number of bytes that the last receive call has received.
    pub(crate) fn bytes(&self) -> usize {
        self.heads.iter().map(|(_, len)| len).sum()
    }

    /// Returns the sender and payload of datagram number `at` of the last receive call.
    pub(crate) fn get(&self, at: usize) -> Option<(SocketAddr, &[u8])> {
        let (from, len) = *self.heads.get(at)?;
        let start = at * STRIDE;
        Some((from, self.storage.get(start..start + len)?))
    }
}

/// Datagrams queued to be sent, in order.
#[derive(Default)]
pub(crate) struct SendBatch {
    bytes: Vec<u8>,
    /// The target of each datagram, and the end of its payload in `bytes`.
    heads: Vec<(SocketAddr, usize)>,
    /// Datagrams that were too long to be queued.
    rejected: u64,
}

impl SendBatch {
    /// Queues one datagram.
    pub(crate) fn push(&mut self, to: SocketAddr, payload: &[u8]) -> Result<(), EncodeError> {
        let max_bytes = max_datagram_bytes(to);
        if payload.len() > max_bytes {
            self.rejected += 1;
            return Err(EncodeError::TooLong { payload_bytes: payload.len(), max_bytes: max_bytes as u64 });
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

    /// Returns true if no more datagrams should be queued. Their number is bounded besides their
    /// bytes, because empty datagrams take memory, too.
    pub(crate) fn is_full(&self, max_bytes: usize) -> bool {
        self.bytes.len() >= max_bytes || self.heads.len() >= MAX_QUEUED
    }

    /// Returns the number of datagrams rejected as too long since the last call.
    pub(crate) fn take_rejected(&mut self) -> u64 {
        std::mem::take(&mut self.rejected)
    }

    /// Returns the targets and payloads from datagram number `first` on.
    pub(crate) fn iter_from(&self, first: usize) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let start = first.checked_sub(1).and_then(|before| self.heads.get(before)).map_or(0, |(_, end)| *end);
        self.heads.iter().skip(first).scan(start, |start, (to, end)| {
            let payload = self.bytes.get(*start..*end).unwrap_or_default();
            *start = *end;
            Some((*to, payload))
        })
    }

    /// Removes the first `count` datagrams after they were sent.
    pub(crate) fn remove_first(&mut self, count: usize) {
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
    fn the_rest_keeps_bounds_and_order_after_remove_first() {
        let mut batch = SendBatch::default();
        let all: [(SocketAddr, &[u8]); 5] =
            [(to(1), b"one"), (to(2), b""), (to(3), b"three"), (to(1), b"four"), (to(4), b"")];
        for (to, payload) in all {
            batch.push(to, payload).unwrap();
        }
        for gone in 0..=all.len() {
            assert_eq!(batch.iter_from(gone).collect::<Vec<_>>(), all[gone..]);
        }
        for (first, gone) in [(0, 0), (0, 2), (2, 1), (3, 2)] {
            batch.remove_first(gone);
            let left = &all[first + gone..];
            assert_eq!(batch.iter_from(0).collect::<Vec<_>>(), left);
            assert_eq!(batch.bytes.len(), left.iter().map(|(_, payload)| payload.len()).sum::<usize>());
            assert_eq!((batch.len(), batch.is_empty()), (left.len(), left.is_empty()));
        }
    }

    #[test]
    fn push_rejects_a_payload_over_the_datagram_limit() {
        for (to, max_bytes) in [("127.0.0.1:1", 65_507), ("[::ffff:127.0.0.1]:1", 65_507), ("[::1]:1", 65_527)] {
            let (to, mut batch) = (to.parse().unwrap(), SendBatch::default());
            assert!(batch.push(to, &vec![0; max_bytes]).is_ok());
            let error = EncodeError::TooLong { payload_bytes: max_bytes + 1, max_bytes: max_bytes as u64 };
            assert_eq!(batch.push(to, &vec![0; max_bytes + 1]), Err(error));
            assert_eq!(batch.len(), 1);
        }
    }

    #[test]
    fn get_returns_each_received_datagram() {
        let mut batch = ReceiveBatch::new();
        assert_eq!(ReceiveBatch::buffers(&mut batch.storage).count(), BATCH);
        for (at, buffer) in ReceiveBatch::buffers(&mut batch.storage).enumerate() {
            assert!(buffer.len() >= MAX_IPV6_DATAGRAM_BYTES);
            buffer[..2].copy_from_slice(&u16::try_from(at).unwrap().to_be_bytes());
        }
        batch.heads = (0..3).map(|at| (to(at), usize::from(at.min(2)))).collect();
        assert_eq!(batch.get(0), Some((to(0), &b""[..])));
        assert_eq!(batch.get(2), Some((to(2), &[0, 2][..])));
        assert_eq!(batch.get(3), None);
    }
}
