//! Admission of connections and UDP members: bans, and the limit per address.

use std::net::{IpAddr, Ipv6Addr};

use super::state::Hub;
use crate::services::chat::request::ErrorReply;

/// Default limit of connections from one address.
const MAX_PER_ADDRESS: usize = 256;

/// The network part of an IPv6 address: its first 64 bits (RFC 6177: a site has at least a /64).
const NETWORK_MASK: u128 = u128::MAX << 64;

/// Returns the address that counts for bans and limits: the network for IPv6, because a host can
/// choose among the 2⁶⁴ addresses of its network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & NETWORK_MASK).into(),
        other => other,
    }
}

/// Returns the error of a banned address.
pub(super) fn banned() -> ErrorReply {
    ErrorReply::new("banned", "this address is banned")
}

impl Hub {
    /// Returns an error if a new member from `address` is not admitted.
    pub(super) fn admit(&self, address: Option<IpAddr>) -> Result<(), ErrorReply> {
        let Some(address) = address else { return Ok(()) };
        if self.bans.contains(&address) {
            return Err(banned());
        }
        let limit = match self.config.max_members_per_address {
            None if address.is_loopback() => return Ok(()),
            None => MAX_PER_ADDRESS,
            Some(0) => return Ok(()),
            Some(limit) => limit,
        };
        if self.members.count_at(address) >= limit {
            return Err(ErrorReply::new("too-many", format!("this address has {limit} connections already")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_a_64_bit_prefix_or_an_ipv4_address() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::6", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
