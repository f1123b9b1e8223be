//! Networks, by which bans and the limit per address count.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::service::address::site_of;

/// Length of the network part of an IPv6 address in bits, see [`site_of`].
const SITE_BITS: u8 = 64;

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// Returns the network that counts for an address: an IPv4 address itself, but the /64 network of
/// an IPv6 address, see [`site_of`].
pub(super) fn network_of(address: IpAddr) -> IpNet {
    match site_of(address) {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Net::new(v6, SITE_BITS).map_or(IpAddr::from(v6).into(), Into::into),
        other => other.into(),
    }
}

/// Parses an address, which stands for [its network](network_of), or a network such as
/// `10.0.0.0/8`.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
        (Ok(address), _) => Some(network_of(address)),
        (_, Ok(network)) => Some(canonical(network).trunc()),
        _ => None,
    }
}

/// Returns true if the text is meant as a network, although its prefix may be wrong:
/// `10.0.0.0/33`.
pub(super) fn resembles_network(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok())
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS));
    v4.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok()).map_or(network, IpNet::V4)
}

/// Returns the text of a network, which is an address if the network has one address only.
pub(super) fn shown(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_a_64_bit_prefix_or_an_ipv4_address() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::6", "2001:db8:1:3::/64"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(shown(parse_network(text).unwrap()), expected, "{text}");
        }
        for bad in ["", "eva", "10.0.0", "10.0.0.0/33", "300.0.0.1", "10.0.0.0/", "::1/129"] {
            assert_eq!(parse_network(bad), None, "{bad}");
        }
    }
}
