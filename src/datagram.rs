//! Batches of datagrams: what one system call received, and what the next will send.

use std::net::SocketAddr;

use crate::error::EncodeError;

/// Datagrams received with one call. More would cost memory and gain nothing: the call itself is amortised long before.
pub(crate) const BATCH: usize = 64;

/// The longest payload a UDP datagram over IPv4 can have: 65,535 less the IP and UDP heads (RFC 768, RFC 791).
pub(crate) const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Bytes from one datagram's buffer to the next. A datagram fits whole (over IPv6 one has up to 65,527 bytes); the extra cache
/// lines keep buffers off each other's cache sets, where a stride of 64 KiB would put them all.
const STRIDE: usize = 64 * 1024 + 192;

/// Room for the datagrams of one receive call. The memory is reserved once; pages that no datagram reaches are never touched.
pub(crate) struct Incoming {
    pub(crate) storage: Box<[u8]>,
    pub(crate) heads: Vec<(SocketAddr, usize)>,
}

impl Incoming {
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
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    heads: Vec<(SocketAddr, usize)>,
}

impl Outgoing {
    pub(crate) fn push(&mut self, to: SocketAddr, payload: &[u8]) -> Result<(), EncodeError> {
        if payload.len() > MAX_DATAGRAM_BYTES {
            let max_bytes = MAX_DATAGRAM_BYTES as u64;
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

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
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
