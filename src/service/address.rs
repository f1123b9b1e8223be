//! The part of an address by which clients are counted.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address after the part that a site is assigned (RFC 6177: at least a /64).
const HOST_BITS: u32 = 64;

/// Returns the address by which a client is counted: an IPv4 address itself, but the first address
/// of its /64 network for an IPv6 address, because a host can choose among the 2⁶⁴ addresses of its
/// network. A dual-stack socket reports an IPv4 peer as a mapped IPv6 address, which counts as the
/// IPv4 address.
pub(crate) fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> HOST_BITS << HOST_BITS).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_is_a_64_bit_prefix_or_an_ipv4_address() {
        for (address, site) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::6", "2001:db8:1:3::"),
        ] {
            assert_eq!(site_of(address.parse().unwrap()), site.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
