//! The bound of an answer to a datagram. Its source address may be forged, and the answer then hits
//! a third party.

use std::net::SocketAddr;

/// Bytes of the headers of IPv4 and UDP.
const HEADER_BYTES: usize = 28;

/// The answer has at most three times the bytes of the datagram, headers included. QUIC has the
/// same bound for an address that is not validated (RFC 9000, section 8.1).
const MAX_FACTOR: usize = 3;

/// Returns the largest answer, in bytes, to a datagram of `received_bytes` bytes. A source on this
/// machine has no bound: other machines cannot forge it.
pub(super) fn max_answer_bytes(from: SocketAddr, received_bytes: usize) -> usize {
    if from.ip().to_canonical().is_loopback() {
        return usize::MAX;
    }
    MAX_FACTOR * (received_bytes + HEADER_BYTES) - HEADER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_has_at_most_three_times_the_bytes() {
        let remote = "192.0.2.1:7".parse().unwrap();
        assert_eq!(max_answer_bytes(remote, 0), 56);
        assert_eq!((max_answer_bytes(remote, 100) + HEADER_BYTES) / (100 + HEADER_BYTES), 3);
        assert_eq!(max_answer_bytes("[::ffff:127.0.0.1]:7".parse().unwrap(), 0), usize::MAX);
    }
}
