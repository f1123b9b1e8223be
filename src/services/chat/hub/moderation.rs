//! The operator's commands about members: their addresses, kicks and bans.

use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::bans::{Ban, reason_text};
use super::ids::{MemberId, RoomId};
use super::operator::print_text;
use super::output::HubOutput;
use super::room::ChatRoom;
use super::state::{Hub, HubCounts};
use crate::frame::plural::counted;
use crate::service::ConnId;
use crate::services::chat::names::check_text;
use crate::services::chat::network::{network_of, shown};
use crate::services::chat::request::{BanTarget, ErrorReply, OperatorCommand};

/// Bans in one answer to `/bans`.
const MAX_BANS_PER_REPLY: usize = 128;

/// Addresses in the answer to `/stats`: those with the most members.
const MAX_ADDRESSES_SHOWN: usize = 10;

impl Hub {
    /// Executes a command that only the operator has.
    pub(super) fn moderate(
        &mut self,
        conn: ConnId,
        command: OperatorCommand<'_>,
        now: Instant,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        let text = match command {
            OperatorCommand::Kick { nick, reason } => self.kick(&nick, reason.as_deref(), out)?,
            OperatorCommand::Ban { target, time, reason } => self.ban(&target, time, reason.as_deref(), now, out)?,
            OperatorCommand::Unban { network } => self.unban(network, now),
            OperatorCommand::Bans { next } => self.bans_text(next.unwrap_or(0), now),
            OperatorCommand::Stats => self.stats_text(now),
            OperatorCommand::Shutdown => {
                out.drain();
                return Ok(());
            }
        };
        print_text(conn, &text, out);
        Ok(())
    }

    fn kick(&mut self, nick: &str, reason: Option<&str>, out: &mut dyn HubOutput) -> Result<String, ErrorReply> {
        reason.map_or(Ok(()), |reason| check_text(reason, self.config.max_text_bytes))?;
        let id = self.find_member(nick)?;
        let nick = self.members.get(id).map_or_else(|| nick.into(), |member| member.nick.clone());
        self.expel(id, "chat kicks", &format!("kicked by the operator{}", reason_text(reason)), out);
        Ok(format!("* {nick} is kicked{}", reason_text(reason)))
    }

    fn ban(
        &mut self,
        target: &BanTarget<'_>,
        time: Option<Duration>,
        reason: Option<&str>,
        now: Instant,
        out: &mut dyn HubOutput,
    ) -> Result<String, ErrorReply> {
        reason.map_or(Ok(()), |reason| check_text(reason, self.config.max_text_bytes))?;
        let network = match target {
            BanTarget::Network(network) => *network,
            BanTarget::Nick(nick) => self.network_of_member(nick)?,
        };
        let too_long = || ErrorReply::new("bad-command", "the time is too long: without one, the ban has no end");
        let until = time.map(|time| now.checked_add(time).ok_or_else(too_long)).transpose()?;
        let ban = Ban { until, reason: reason.map(Into::into) };
        let (terms, error) = (ban.terms(now), ban.error(now));
        self.bans.insert(network, ban, now)?;
        log::info!("chat: the operator has banned {}{terms}", shown(network));
        let members = self.members.in_network(network);
        for id in &members {
            self.expel(*id, "chat bans", &error.text, out);
        }
        let closed = counted(members.len() as u64, "member", "members");
        Ok(format!("* {} is banned{terms}; {closed} disconnected", shown(network)))
    }

    /// Returns the network of a member's address.
    fn network_of_member(&self, nick: &str) -> Result<IpNet, ErrorReply> {
        let id = self.find_member(nick).map_err(|error| ErrorReply {
            text: format!("{}: write a nick, an address, or a network such as 10.0.0.0/8", error.text),
            ..error
        })?;
        let address = self.members.get(id).and_then(|member| member.endpoint.address());
        address.map(network_of).ok_or_else(|| {
            ErrorReply::new("no-address", format!("{nick} has no address, but a Unix-domain socket: /kick {nick}"))
        })
    }

    fn unban(&mut self, network: IpNet, now: Instant) -> String {
        if self.bans.remove(network, now) {
            log::info!("chat: the operator has lifted the ban of {}", shown(network));
            return format!("* {} is unbanned", shown(network));
        }
        match self.bans.find(network.addr(), now) {
            Some((wider, _)) => format!("! {} is banned as a part of {wider}: /unban {wider}", shown(network)),
            None => format!("* {} was not banned", shown(network)),
        }
    }

    fn bans_text(&self, from: u64, now: Instant) -> String {
        let bans = self.bans.in_force(now);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bans.len());
        let mut lines = vec![format!("* {}", counted(bans.len() as u64, "ban", "bans"))];
        for (network, ban) in bans.iter().skip(from).take(MAX_BANS_PER_REPLY) {
            lines.push(format!("*   {}{}", shown(*network), ban.terms(now)));
        }
        let next = from.saturating_add(MAX_BANS_PER_REPLY);
        if next < bans.len() {
            lines.push(format!("* /bans {next} goes on"));
        }
        lines.join("\n")
    }

    /// Returns a page of a room's members with their addresses.
    pub(super) fn who_text(&self, id: RoomId, next: Option<u64>) -> String {
        let (members, next) = self.members_page(id, next);
        let name = self.room_name(id);
        let count = self.rooms.get(id).map_or(0, ChatRoom::member_count);
        let shown = members.iter().filter_map(|id| self.members.get(*id));
        let shown: Vec<_> =
            shown.map(|member| format!("{} ({})", self.palette.paint(&member.nick), member.endpoint)).collect();
        match (count, next) {
            (0, _) => format!("* no members in {name}"),
            (_, None) => format!("* {count} in {name}: {}", shown.join(", ")),
            (_, Some(next)) => format!("* {count} in {name}: {}, …\n* /who {name} {next} goes on", shown.join(", ")),
        }
    }

    fn stats_text(&self, now: Instant) -> String {
        let HubCounts { messages, deliveries, rejected, rate_limited, gaps } = self.counts;
        let members = counted(self.members.len() as u64, "member", "members");
        let by_udp = match self.members.source_count() {
            0 => String::new(),
            count => format!(", {count} of them by UDP,"),
        };
        let rooms = counted(self.rooms.len() as u64, "room", "rooms");
        let (messages, deliveries) =
            (counted(messages, "message", "messages"), counted(deliveries, "delivery", "deliveries"));
        let kept = counted(self.rooms.kept_bytes() as u64, "byte", "bytes");
        let bans = counted(self.bans.in_force(now).len() as u64, "ban", "bans");
        let gaps = counted(gaps, "gap", "gaps");
        format!(
            "* {members}{by_udp} in {rooms}\n\
             * {messages}, {deliveries}; {kept} of messages kept\n\
             * {rejected} rejected, {rate_limited} rate-limited, {bans}, {gaps} reported\n\
             * {}",
            self.addresses_text()
        )
    }

    /// Returns the addresses with the most members.
    fn addresses_text(&self) -> String {
        let mut networks: Vec<_> = self.members.networks().collect();
        networks.sort_unstable_by_key(|(network, count)| (std::cmp::Reverse(*count), *network));
        let count = counted(networks.len() as u64, "address", "addresses");
        let shown: Vec<_> = networks
            .iter()
            .take(MAX_ADDRESSES_SHOWN)
            .map(|(network, members)| {
                format!("{} ({})", shown(*network), counted(*members as u64, "member", "members"))
            })
            .collect();
        match (shown.is_empty(), networks.len() > shown.len()) {
            (true, _) => count,
            (false, false) => format!("{count}: {}", shown.join(", ")),
            (false, true) => format!("{count}: {}, …", shown.join(", ")),
        }
    }

    /// Disconnects a member for a fault of its own or at the operator's command, and logs that.
    pub(super) fn expel(&mut self, id: MemberId, cause: &'static str, reason: &str, out: &mut dyn HubOutput) {
        self.log_removal(id, cause, reason, out);
        self.disconnect(id, reason, out);
    }

    /// Logs that a member is being disconnected for `reason`.
    pub(super) fn log_removal(&self, id: MemberId, cause: &'static str, reason: &str, out: &mut dyn HubOutput) {
        if let Some(member) = self.members.get(id) {
            out.warn(cause, format_args!("chat {} ({}) closed: {reason}", member.endpoint, member.nick));
        }
    }
}
