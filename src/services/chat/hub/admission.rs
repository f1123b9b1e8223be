//! Admission of connections and UDP members: bans, and the limit per address.

use std::net::IpAddr;
use std::time::Instant;

use super::state::Hub;
use crate::frame::plural::counted;
use crate::services::chat::network::network_of;
use crate::services::chat::request::ErrorReply;

/// Default limit of connections from one address.
const MAX_PER_ADDRESS: usize = 256;

/// Returns the cause by which the log counts the close of a connection, or `None` if only the
/// request is invalid.
pub(super) fn cause_of(error: &ErrorReply) -> Option<&'static str> {
    match error.code {
        "flood" => Some("chat rate limit"),
        "banned" => Some("chat bans"),
        "too-many" => Some("chat limit of members"),
        _ => None,
    }
}

/// Returns the cause by which the log counts a refused datagram, or `None` if only the request is
/// invalid. No connection shares it: otherwise a flood of datagrams would use up the warnings about
/// closed connections.
pub(super) fn datagram_cause_of(error: &ErrorReply) -> Option<&'static str> {
    match error.code {
        "flood" => Some("chat rate limit of datagrams"),
        "banned" => Some("chat datagrams of banned addresses"),
        "too-many" => Some("chat limit of UDP members"),
        "not-public" => Some("chat datagrams of other machines"),
        _ => None,
    }
}

impl Hub {
    /// Returns an error if a new member from `address` is not admitted.
    pub(super) fn admit(&self, address: Option<IpAddr>, now: Instant) -> Result<(), ErrorReply> {
        let Some(address) = address else { return Ok(()) };
        self.check_ban(address, now)?;
        let limit = match self.config.max_members_per_address {
            None if address.to_canonical().is_loopback() => return Ok(()),
            None => MAX_PER_ADDRESS,
            Some(0) => return Ok(()),
            Some(limit) => limit,
        };
        if self.members.count_at(network_of(address)) >= limit {
            let connections = counted(limit as u64, "connection", "connections");
            return Err(ErrorReply::new("too-many", format!("this address has {connections} already")));
        }
        Ok(())
    }

    /// Returns an error if `address` is banned.
    pub(super) fn check_ban(&self, address: IpAddr, now: Instant) -> Result<(), ErrorReply> {
        self.bans.find(address, now).map_or(Ok(()), |(_, ban)| Err(ban.error(now)))
    }
}
