//! UDP members. A source that sends `name : text` is a member of the lobby until it has sent no
//! datagram for `udp_idle_timeout`.
//!
//! A source address can be forged, and the reply then hits a third party. So one datagram causes at
//! most one reply, and replies are rate limited: by the token bucket of each member, and by one
//! shared bucket for all other sources.

use std::net::SocketAddr;
use std::time::Instant;

use super::admission::network;
use super::ids::{MemberId, RoomId};
use super::output::{EventTime, HubOutput};
use super::state::Hub;
use crate::services::chat::config::ChatConfig;
use crate::services::chat::dialect::{self, DatagramMessage};
use crate::services::chat::names::{SERVER, check_text};
use crate::services::chat::request::ErrorReply;

impl Hub {
    /// Handles a datagram, and sends the error reply if that fails.
    pub(crate) fn on_datagram(&mut self, from: SocketAddr, datagram: &[u8], time: EventTime, out: &mut dyn HubOutput) {
        let address = network(from.ip());
        if !self.config.accepts_remote_datagrams && !address.is_loopback() || self.bans.contains(&address) {
            self.counts.rejected += 1;
            return;
        }
        if let Err(error) = self.handle_datagram(from, datagram, time, out) {
            // A member's own bucket has paid for the reply already.
            let ChatConfig { max_requests_per_second, max_burst_requests, .. } = self.config;
            let is_member = self.members.by_source(from).is_some();
            if !is_member && !self.non_member_bucket.try_take(time.now, max_requests_per_second, max_burst_requests) {
                self.counts.rate_limited += 1;
                return;
            }
            let text = dialect::encode_datagram(SERVER, &error.text, self.config.encoding);
            out.send_datagram(from, text);
        }
    }

    fn handle_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        let member = self.members.by_source(from);
        if let Some(id) = member
            && !self.touch_udp_member(id, from, time.now)
        {
            self.counts.rate_limited += 1;
            return Ok(());
        }
        let DatagramMessage { name, text } = dialect::parse_datagram(datagram, self.config.encoding)?;
        if !text.is_empty() {
            check_text(&text, self.config.max_text_bytes)?;
        }
        match member {
            Some(id) => _ = self.rename(id, &name, out)?,
            None => self.add_udp_member(from, &name, time, out)?,
        }
        // A datagram without text is a keep-alive.
        if !text.is_empty() {
            self.publish(RoomId::LOBBY, &name, &text, time, out);
        }
        Ok(())
    }

    /// Stores the time of a UDP member's datagram and takes one token. Returns false if the member
    /// exceeds its rate.
    fn touch_udp_member(&mut self, id: MemberId, from: SocketAddr, now: Instant) -> bool {
        let (rate, burst) = (self.config.max_requests_per_second, self.config.max_burst_requests);
        self.members.touch_source(from, now);
        let Some(member) = self.members.get_mut(id) else { return false };
        member.bucket.try_take(now, rate, burst)
    }

    fn add_udp_member(
        &mut self,
        from: SocketAddr,
        name: &str,
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        let address = network(from.ip());
        self.admit(Some(address))?;
        let limit = self.config.max_udp_members;
        if self.members.source_count() >= limit {
            return Err(ErrorReply::new(
                "too-many",
                format!("the server has reached its limit of {limit} UDP members"),
            ));
        }
        self.members.check_free(name)?;
        let id = self.members.add_source(from, address, time.now);
        self.members.rename(id, name)?;
        self.touch_udp_member(id, from, time.now);
        self.join(id, RoomId::LOBBY, out);
        self.announce_member(id, out);
        if !std::mem::replace(&mut self.is_timer_set, true) {
            out.set_timer(self.config.udp_idle_timeout);
        }
        Ok(())
    }

    /// Removes UDP members that have been silent for `udp_idle_timeout`, and sets the timer for the
    /// next.
    pub(crate) fn on_timer(&mut self, now: Instant, out: &mut dyn HubOutput) {
        let silence = self.config.udp_idle_timeout;
        let silent: Vec<_> =
            self.members.sources().filter(|(_, last_received)| now.duration_since(*last_received) >= silence).collect();
        for (id, _) in silent {
            self.remove_member(id, true, out);
        }
        let expiries = self.members.sources().map(|(_, last_received)| last_received + silence);
        let next = expiries.map(|expiry| expiry.saturating_duration_since(now)).min();
        self.is_timer_set = next.is_some();
        if let Some(after) = next {
            out.set_timer(after);
        }
    }
}
