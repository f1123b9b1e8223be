//! The index of a network interface, which is the zone of an IPv6 address (RFC 4007, section 11).

/// Returns the index of the network interface `name`; `None` if this machine has none of that name.
#[cfg(target_os = "linux")]
pub(super) fn interface_index(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// Returns the index of the network interface `name`; `None` if this machine has none of that name.
/// getaddrinfo(3) reads the name as the zone of an address.
#[cfg(not(target_os = "linux"))]
pub(super) fn interface_index(name: &str) -> Option<u32> {
    use std::net::{SocketAddr, ToSocketAddrs};
    match (format!("fe80::1%{name}"), 0).to_socket_addrs().ok()?.next()? {
        SocketAddr::V6(addr) => Some(addr.scope_id()),
        SocketAddr::V4(_) => None,
    }
}
