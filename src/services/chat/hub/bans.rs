//! Bans: networks whose connections and datagrams are rejected, for a time or for good.

use std::collections::HashMap;
use std::iter::successors;
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use jiff::{Span, SpanRound, Unit};

use crate::services::chat::config::MAX_BANS;
use crate::services::chat::request::ErrorReply;

/// The banned networks.
#[derive(Default)]
pub(super) struct BanList {
    bans: HashMap<IpNet, Ban>,
}

/// The terms of one ban.
#[derive(Clone, Debug)]
pub(super) struct Ban {
    /// The end of the ban; `None`: it has none.
    pub(super) until: Option<Instant>,
    pub(super) reason: Option<Box<str>>,
}

impl BanList {
    /// Adds a ban, or changes the terms of one.
    pub(super) fn insert(&mut self, network: IpNet, ban: Ban, now: Instant) -> Result<(), ErrorReply> {
        self.bans.retain(|_, ban| ban.is_in_force(now));
        if self.bans.len() >= MAX_BANS && !self.bans.contains_key(&network) {
            return Err(ErrorReply::new("too-many", format!("{MAX_BANS} networks are banned already: /unban some")));
        }
        self.bans.insert(network, ban);
        Ok(())
    }

    /// Removes the ban of exactly this network. Returns true if there was one.
    pub(super) fn remove(&mut self, network: IpNet, now: Instant) -> bool {
        self.bans.remove(&network).is_some_and(|ban| ban.is_in_force(now))
    }

    /// Returns the smallest banned network that contains `address`, and its ban.
    pub(super) fn find(&self, address: IpAddr, now: Instant) -> Option<(IpNet, &Ban)> {
        if self.bans.is_empty() {
            return None;
        }
        // At most 129 networks contain an address: fewer than there may be bans.
        let mut networks = successors(Some(IpNet::from(address.to_canonical())), IpNet::supernet);
        networks.find_map(|network| Some((network, self.bans.get(&network).filter(|ban| ban.is_in_force(now))?)))
    }

    /// Returns the bans in the order of their networks.
    pub(super) fn in_force(&self, now: Instant) -> Vec<(IpNet, &Ban)> {
        let in_force = self.bans.iter().filter(|(_, ban)| ban.is_in_force(now));
        let mut bans: Vec<_> = in_force.map(|(network, ban)| (*network, ban)).collect();
        bans.sort_unstable_by_key(|(network, _)| *network);
        bans
    }
}

impl Ban {
    fn is_in_force(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Returns the error for a peer of a banned network.
    pub(super) fn error(&self, now: Instant) -> ErrorReply {
        ErrorReply::new("banned", format!("this address is banned{}", self.terms(now)))
    }

    /// Returns the time that is left and the reason, such as ` for 10m: spam`.
    pub(super) fn terms(&self, now: Instant) -> String {
        let time = self.until.map(|until| format!(" for {}", time_text(until, now)));
        format!("{}{}", time.unwrap_or_default(), reason_text(self.reason.as_deref()))
    }
}

/// Returns `: ` and the reason, or nothing.
pub(super) fn reason_text(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

/// Formats the time until `until`, such as `2d 3h`. A part of a second counts as a whole one.
fn time_text(until: Instant, now: Instant) -> String {
    let left = until.saturating_duration_since(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let largest_unit = SpanRound::new().largest(Unit::Day).days_are_24_hours();
    let span = i64::try_from(seconds).ok().and_then(|seconds| Span::new().try_seconds(seconds).ok());
    let span = span.and_then(|span| span.round(largest_unit).ok());
    span.map_or_else(|| format!("{seconds} s"), |span| format!("{span:#}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_in_the_largest_units() {
        let now = Instant::now();
        for (left, text) in [
            (Duration::from_millis(1), "1s"),
            (Duration::from_secs(60), "1m"),
            (Duration::from_millis(588_001), "9m 49s"),
            (Duration::from_hours(51), "2d 3h"),
        ] {
            assert_eq!(time_text(now + left, now), text);
        }
    }

    #[test]
    fn smallest_ban_in_force_is_found() {
        let now = Instant::now();
        let mut bans = BanList::default();
        let ban = |seconds: Option<u64>| Ban { until: seconds.map(|s| now + Duration::from_secs(s)), reason: None };
        bans.insert("10.0.0.0/8".parse().unwrap(), ban(None), now).unwrap();
        bans.insert("10.0.0.7/32".parse().unwrap(), ban(Some(5)), now).unwrap();
        bans.insert("2001:db8::/32".parse().unwrap(), ban(None), now).unwrap();
        let found = |address: &str, after| {
            let found = bans.find(address.parse().unwrap(), now + Duration::from_secs(after));
            found.map_or_else(String::new, |(network, _)| network.to_string())
        };
        assert_eq!(found("10.0.0.7", 4), "10.0.0.7/32");
        assert_eq!(found("10.0.0.7", 5), "10.0.0.0/8");
        assert_eq!(found("::ffff:10.9.9.9", 0), "10.0.0.0/8");
        assert_eq!(found("2001:db8:1::1", 0), "2001:db8::/32");
        assert_eq!(found("11.0.0.7", 0), "");
        assert_eq!(bans.in_force(now + Duration::from_secs(5)).len(), 2);
    }
}
