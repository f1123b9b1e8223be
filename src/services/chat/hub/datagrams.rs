//! UDP members. A source that sends `name : text` is a member of the lobby until it has sent no
//! datagram for `udp_idle_timeout`.
//!
//! A datagram that is refused is answered with one datagram, `error : REASON`: a simple client
//! waits for exactly one answer. A source address can be forged, and the answer then hits a third
//! party. So a datagram causes at most one answer, and the refusal of another server causes none. A
//! sender on another machine [proves its address](super::address_proof) before it is a member, and
//! until then the answer is short.

use std::net::SocketAddr;
use std::time::Instant;

use super::admission::datagram_cause_of;
use super::ids::{MemberId, RoomId};
use super::output::{EventTime, HubOutput};
use super::state::Hub;
use crate::frame::plural::counted;
use crate::service::ServiceOptions;
use crate::services::chat::dialect::{self, DatagramMessage};
use crate::services::chat::names::{ERROR, SERVER, check_text};
use crate::services::chat::request::{ErrorReply, RoomText};
use crate::services::chat::wire::LOBBY;

impl Hub {
    /// Handles a datagram, and answers it with the error if that fails.
    pub(crate) fn on_datagram(&mut self, from: SocketAddr, datagram: &[u8], time: EventTime, out: &mut dyn HubOutput) {
        if dialect::is_error_datagram(datagram) {
            self.counts.rejected += 1;
            out.warn(
                "chat refusals of other servers",
                format_args!("chat udp:{from} ignored: a refusal of another server has no answer"),
            );
            return;
        }
        if let Err(error) = self.handle_datagram(from, datagram, time, out) {
            self.log_refusal(from, &error, out);
            let answer = dialect::encode_datagram(ERROR, &RoomText::message(error.text), self.config.encoding);
            out.send_datagram(from, answer);
        }
    }

    /// Returns the number of datagrams of one source in a second above which the engine drops them;
    /// 0: no limit. A server that answers each refusal would otherwise receive the next one,
    /// without end. A member within its own limit does not reach this one.
    pub(crate) fn max_datagrams_per_second(&self) -> u32 {
        match (self.config.max_requests_per_second, self.config.max_burst_requests) {
            (0, _) => 0,
            (rate, burst) => rate.max(burst).max(ServiceOptions::DEFAULT_ANSWERS_PER_SECOND),
        }
    }

    fn handle_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        if !self.config.accepts_remote_datagrams && !from.ip().to_canonical().is_loopback() {
            self.counts.rejected += 1;
            let text = "this server takes datagrams from its own machine only";
            return Err(ErrorReply::new("not-public", text));
        }
        let needs_proof = self.needs_proof(from);
        if let Err(error) = self.check_ban(from.ip(), time.now) {
            self.counts.rejected += 1;
            // The reason for a ban may be long.
            return Err(if needs_proof { ErrorReply::new("banned", "this address is banned") } else { error });
        }
        let member = self.members.by_source(from);
        if let Some(id) = member
            && !self.touch_udp_member(id, from, time.now)
        {
            self.counts.rate_limited += 1;
            return Err(self.rate_limit_error());
        }
        let mut parsed = dialect::parse_datagram(datagram, self.config.encoding);
        let has_proof = needs_proof
            && parsed
                .as_mut()
                .is_ok_and(|parsed| parsed.take_proof(|word| self.address_proof.accepts(from, word, time.now)));
        if needs_proof && member.is_none() && !has_proof {
            self.counts.rejected += 1;
            return Err(dialect::proof_request(&self.address_proof.word(from, time.now)));
        }
        let DatagramMessage { name, message } = parsed?;
        // A person may return the word alone.
        let is_proof_only = has_proof && message.text.is_empty();
        if !is_proof_only {
            check_text(&message.text, self.config.max_text_bytes)?;
        }
        match member {
            Some(id) => _ = self.rename(id, &name, out)?,
            None => self.add_udp_member(from, &name, time, out)?,
        }
        if is_proof_only {
            let welcome = RoomText::message(format!("{name} has joined {LOBBY}"));
            out.send_datagram(from, dialect::encode_datagram(SERVER, &welcome, self.config.encoding));
        } else {
            self.publish(RoomId::LOBBY, &name, &message, time, out);
        }
        Ok(())
    }

    /// Returns true if a datagram's source may be forged.
    fn needs_proof(&self, from: SocketAddr) -> bool {
        self.config.proves_loopback_addresses || !from.ip().to_canonical().is_loopback()
    }

    /// Logs the refusals that the engine's limits or the operator cause, and not those of a request
    /// that is invalid.
    fn log_refusal(&self, from: SocketAddr, error: &ErrorReply, out: &mut dyn HubOutput) {
        let (Some(cause), text) = (datagram_cause_of(error), &error.text) else { return };
        match self.members.by_source(from).and_then(|id| self.members.get(id)) {
            Some(member) => out.warn(cause, format_args!("chat udp:{from} ({}) refused: {text}", member.nick)),
            None => out.warn(cause, format_args!("chat udp:{from} refused: {text}")),
        }
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
        self.admit(Some(from.ip()), time.now).inspect_err(|_| self.counts.rejected += 1)?;
        let limit = self.config.max_udp_members;
        if self.members.source_count() >= limit {
            self.counts.rejected += 1;
            let members = counted(limit as u64, "UDP member", "UDP members");
            return Err(ErrorReply::new("too-many", format!("the server has reached its limit of {members}")));
        }
        self.members.check_free(name)?;
        let id = self.members.add_source(from, time.now);
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
        let left = |last_received| silence.saturating_sub(now.duration_since(last_received));
        let next = self.members.sources().map(|(_, last_received)| left(last_received)).min();
        self.is_timer_set = next.is_some();
        if let Some(after) = next {
            out.set_timer(after);
        }
    }
}
