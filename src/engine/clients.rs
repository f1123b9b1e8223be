//! The open connections of clients, counted against their bounds: on all of them, on the
//! descriptors that they and their services take, and on the connections of one address. This file
//! knows neither socket nor thread.

use std::collections::HashMap;
use std::net::IpAddr;

use super::limits::Limits;
use crate::service::address::site_of;
use crate::service::{CloseReason, MAX_KEPT_ENTRIES, Peer, ServiceId};

/// The bound on the connections of one address unless another is set. The addresses of this machine
/// then have none.
const MAX_PER_ADDRESS: usize = 256;

/// What each connection of a service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionCost {
    /// The descriptors of the connection and of what its service opens for it.
    pub(crate) descriptors: usize,
    /// The bound on the connections of one address holds for the service.
    pub(crate) counts_addresses: bool,
}

/// The open connections of clients. Consoles are none of them.
#[derive(Debug)]
pub(crate) struct Clients {
    max_connections: usize,
    connections: usize,
    max_descriptors: usize,
    descriptors: usize,
    /// See [`Limits::max_connections_per_address`].
    max_per_address: Option<usize>,
    /// The connections of each address that has a bound; an address without a connection has no
    /// entry.
    per_address: HashMap<IpAddr, usize>,
    /// By the number of the service.
    costs: Vec<ConnectionCost>,
}

impl Clients {
    /// Returns the count of an engine without connections. They may take `max_descriptors`.
    pub(crate) fn new(limits: &Limits, max_descriptors: usize, costs: Vec<ConnectionCost>) -> Self {
        Self {
            max_connections: limits.max_connections,
            connections: 0,
            max_descriptors,
            descriptors: 0,
            max_per_address: limits.max_connections_per_address,
            per_address: HashMap::new(),
            costs,
        }
    }

    /// Returns the reason to reject a pending connection of `service`, if there is one.
    pub(crate) fn refusal(&self, peer: &Peer, service: ServiceId) -> Option<CloseReason> {
        let cost = self.cost(service);
        if self.connections >= self.max_connections {
            return Some(CloseReason::MaxConnections(self.max_connections));
        }
        if self.descriptors.saturating_add(cost.descriptors) > self.max_descriptors {
            return Some(CloseReason::MaxDescriptors(self.max_descriptors));
        }
        let (site, max) = self.bounded_site(peer, cost)?;
        let is_reached = self.per_address.get(&site).is_some_and(|connections| *connections >= max);
        is_reached.then_some(CloseReason::MaxPerAddress(max))
    }

    /// Counts a connection that is opened.
    pub(crate) fn add(&mut self, peer: &Peer, service: ServiceId) {
        if *peer == Peer::Console {
            return;
        }
        let cost = self.cost(service);
        self.connections += 1;
        self.descriptors += cost.descriptors;
        if let Some((site, _)) = self.bounded_site(peer, cost) {
            *self.per_address.entry(site).or_default() += 1;
        }
    }

    /// Counts a connection that is over.
    pub(crate) fn remove(&mut self, peer: &Peer, service: ServiceId) {
        if *peer == Peer::Console {
            return;
        }
        let cost = self.cost(service);
        self.connections -= 1;
        self.descriptors -= cost.descriptors;
        if let Some((site, _)) = self.bounded_site(peer, cost)
            && let Some(connections) = self.per_address.get_mut(&site)
        {
            *connections -= 1;
            if *connections == 0 {
                self.per_address.remove(&site);
            }
            if self.per_address.is_empty() {
                self.per_address.shrink_to(MAX_KEPT_ENTRIES);
            }
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    fn cost(&self, service: ServiceId) -> ConnectionCost {
        let unknown = ConnectionCost { descriptors: 1, counts_addresses: true };
        self.costs.get(service.0).copied().unwrap_or(unknown)
    }

    /// Returns the address that a peer counts for and its bound, if there is one.
    fn bounded_site(&self, peer: &Peer, cost: ConnectionCost) -> Option<(IpAddr, usize)> {
        let Peer::Tcp(address) = peer else { return None };
        let site = site_of(address.ip());
        let max = match self.max_per_address {
            None if site.is_loopback() => return None,
            None => MAX_PER_ADDRESS,
            Some(0) => return None,
            Some(max) => max,
        };
        cost.counts_addresses.then_some((site, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServiceId = ServiceId(0);
    const B: ServiceId = ServiceId(1);

    fn tcp(address: &str) -> Peer {
        Peer::Tcp((address.parse::<IpAddr>().unwrap(), 1000).into())
    }

    fn clients(limits: &Limits, max_descriptors: usize) -> Clients {
        let cost = |descriptors, counts_addresses| ConnectionCost { descriptors, counts_addresses };
        Clients::new(limits, max_descriptors, vec![cost(1, true), cost(3, false)])
    }

    #[test]
    fn descriptors_that_services_need_are_reserved() {
        let mut clients = clients(&Limits::default(), 6);
        clients.add(&Peer::Unix, B);
        clients.add(&Peer::Console, B);
        clients.add(&Peer::Unix, A);
        assert_eq!(clients.refusal(&Peer::Unix, B), Some(CloseReason::MaxDescriptors(6)));
        assert_eq!(clients.refusal(&Peer::Unix, A), None);
        clients.remove(&Peer::Console, B);
        clients.remove(&Peer::Unix, A);
        assert_eq!(clients.refusal(&Peer::Unix, B), None);
        assert_eq!(clients.connections(), 1);
    }

    #[test]
    fn connections_are_bounded() {
        let mut clients = clients(&Limits { max_connections: 1, ..Limits::default() }, usize::MAX);
        clients.add(&Peer::Console, A);
        assert_eq!(clients.refusal(&Peer::Unix, A), None);
        clients.add(&Peer::Unix, A);
        assert_eq!(clients.refusal(&Peer::Unix, A), Some(CloseReason::MaxConnections(1)));
    }

    #[test]
    fn connections_of_one_address_are_bounded() {
        let limits = Limits { max_connections_per_address: Some(2), ..Limits::default() };
        let mut clients = clients(&limits, usize::MAX);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "2001:db8::1", "2001:db8::2:3"] {
            assert_eq!(clients.refusal(&tcp(address), A), None);
            clients.add(&tcp(address), A);
        }
        for address in ["::ffff:127.0.0.1", "127.0.0.1", "2001:db8::4"] {
            assert_eq!(clients.refusal(&tcp(address), A), Some(CloseReason::MaxPerAddress(2)), "{address}");
            assert_eq!(clients.refusal(&tcp(address), B), None, "the service bounds them itself");
        }
        for address in ["127.0.0.2", "2001:db8:0:1::1"] {
            assert_eq!(clients.refusal(&tcp(address), A), None, "{address}");
        }
        clients.remove(&tcp("127.0.0.1"), A);
        assert_eq!(clients.refusal(&tcp("127.0.0.1"), A), None);
        clients.remove(&tcp("::ffff:127.0.0.1"), A);
        assert_eq!(clients.per_address.len(), 1, "an address without a connection has no entry");
    }

    #[test]
    fn addresses_leave_no_memory_behind() {
        let mut clients = clients(&Limits::default(), usize::MAX);
        let peers: Vec<Peer> =
            (0..10_000_u32).map(|ip| Peer::Tcp((IpAddr::from(ip.to_be_bytes()), 1).into())).collect();
        for peer in &peers {
            clients.add(peer, A);
        }
        assert!(clients.per_address.len() >= 9_999);
        for peer in &peers {
            clients.remove(peer, A);
        }
        assert!(clients.per_address.capacity() <= 2 * MAX_KEPT_ENTRIES);
    }

    #[test]
    fn addresses_of_this_machine_have_no_bound_unless_one_is_set() {
        for (max, address, bound) in [
            (None, "127.0.0.1", None),
            (None, "::1", None),
            (None, "192.0.2.1", Some(256)),
            (Some(0), "192.0.2.1", None),
            (Some(300), "::1", Some(300)),
        ] {
            let limits = Limits { max_connections_per_address: max, ..Limits::default() };
            let mut clients = clients(&limits, usize::MAX);
            for _ in 0..bound.unwrap_or(1000) {
                assert_eq!(clients.refusal(&tcp(address), A), None, "{max:?} {address}");
                clients.add(&tcp(address), A);
            }
            assert_eq!(clients.refusal(&tcp(address), A), bound.map(CloseReason::MaxPerAddress), "{max:?} {address}");
        }
    }
}
