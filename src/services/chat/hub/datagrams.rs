//! Members without a connection: whoever sends `name : text` is in the lobby, until it has been silent for a while.
//!
//! A sender's address can be forged, so one datagram causes at most one answer, and none once there are too many of them: a
//! member's are counted by its own bucket, those of all who are no members by one.

use std::net::SocketAddr;
use std::time::Instant;

use super::admission::network;
use super::members::MemberId;
use super::rooms::Rooms;
use super::{Hub, Outlet, When};
use crate::services::chat::dialect::{self, Said};
use crate::services::chat::names::{SERVER, check_text};
use crate::services::chat::request::Refusal;
use crate::services::chat::rules::Rules;

impl Hub {
    /// A datagram has come.
    pub(in crate::services::chat) fn hear_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        when: When,
        out: &mut dyn Outlet,
    ) {
        let address = network(from.ip());
        if !self.rules.udp_public && !address.is_loopback() || self.bans.contains(&address) {
            self.counts.refused += 1;
            return;
        }
        if let Err(refusal) = self.heed_datagram(from, datagram, when, out) {
            // A member has a bucket of its own, and has paid for the answer.
            let Rules { messages_per_second, burst, .. } = self.rules;
            let is_stranger = self.members.by_source(from).is_none();
            if is_stranger && !self.strangers.take(when.now, messages_per_second, burst) {
                self.counts.flooded += 1;
                return;
            }
            let text = dialect::tell_datagram(SERVER, &refusal.text, self.rules.encoding);
            out.datagram(from, text);
        }
    }

    fn heed_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        when: When,
        out: &mut dyn Outlet,
    ) -> Result<(), Refusal> {
        let known = self.members.by_source(from);
        if let Some(id) = known
            && !self.hear_source(id, from, when.now)
        {
            self.counts.flooded += 1;
            return Ok(());
        }
        let Said { name, text } = dialect::hear_datagram(datagram, self.rules.encoding)?;
        if !text.is_empty() {
            check_text(&text, self.rules.max_text_bytes)?;
        }
        match known {
            Some(id) => _ = self.rename(id, &name, out)?,
            None => self.admit_source(from, &name, when, out)?,
        }
        // No text is a sign of life.
        if !text.is_empty() {
            self.speak(Rooms::LOBBY, &name, &text, when, out);
        }
        Ok(())
    }

    /// Notes that a UDP member is alive; whether it may be heard.
    fn hear_source(&mut self, id: MemberId, from: SocketAddr, now: Instant) -> bool {
        let (rate, burst) = (self.rules.messages_per_second, self.rules.burst);
        self.members.note_heard(from, now);
        let Some(member) = self.members.get_mut(id) else { return false };
        member.bucket.take(now, rate, burst)
    }

    fn admit_source(&mut self, from: SocketAddr, name: &str, when: When, out: &mut dyn Outlet) -> Result<(), Refusal> {
        let address = network(from.ip());
        self.admit(Some(address))?;
        let most = self.rules.max_udp_members;
        if self.members.source_count() >= most {
            return Err(Refusal::new("too-many", format!("there are {most} UDP members already")));
        }
        self.members.check_free(name)?;
        let id = self.members.enter_source(from, address, when.now);
        self.members.rename(id, name)?;
        self.hear_source(id, from, when.now);
        self.sit_down(id, Rooms::LOBBY, out);
        self.introduce(id, out);
        if !std::mem::replace(&mut self.expiry_asked, true) {
            out.expire_after(self.rules.udp_silence);
        }
        Ok(())
    }

    /// Sees off UDP members that have been silent for too long, and asks for the next time.
    pub(in crate::services::chat) fn expire(&mut self, now: Instant, out: &mut dyn Outlet) {
        let silence = self.rules.udp_silence;
        let silent: Vec<_> =
            self.members.sources().filter(|(_, heard)| now.duration_since(*heard) >= silence).collect();
        for (id, _) in silent {
            self.depart(id, true, out);
        }
        let next = self.members.sources().map(|(_, heard)| (heard + silence).saturating_duration_since(now)).min();
        self.expiry_asked = next.is_some();
        if let Some(after) = next {
            out.expire_after(after);
        }
    }
}
