//! Who is let in: nobody who is banned, and not too many from one place.

use std::net::{IpAddr, Ipv6Addr};

use super::Hub;
use crate::services::chat::request::Refusal;

/// Connections from one other place, where nothing else is said.
const PER_ADDRESS: usize = 256;

/// The part of an IPv6 address that its holder cannot choose (RFC 6177: a site has a /64 at the least).
const NETWORK: u128 = u128::MAX << 64;

/// The place that an address stands for. Who has one IPv6 address has 2⁶⁴ of them, so these are one.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into(),
        other => other,
    }
}

impl Hub {
    /// Whether a newcomer from an address is let in.
    pub(super) fn admit(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(address) = address else { return Ok(()) };
        if self.bans.contains(&address) {
            return Err(Refusal::new("banned", "this address is banned"));
        }
        let cap = match self.rules.max_per_address {
            None if address.is_loopback() => return Ok(()),
            None => PER_ADDRESS,
            Some(0) => return Ok(()),
            Some(cap) => cap,
        };
        if self.members.count_at(address) >= cap {
            return Err(Refusal::new("too-many", format!("this address has {cap} connections already")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_place_and_an_ipv4_address_is_one_however_it_is_written() {
        for (address, place) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::6", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), place.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
