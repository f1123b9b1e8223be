//! Connections of members: opening, frames, closing.

use std::net::SocketAddr;
use std::time::Instant;

use super::admission::cause_of;
use super::ids::{MemberId, RoomId};
use super::member::{ChatMember, MemberEndpoint};
use super::output::{EventTime, HubOutput};
use super::state::Hub;
use crate::frame::plural::counted;
use crate::frame::telnet;
use crate::service::CloseReason;
use crate::service::ConnId;
use crate::services::chat::config::ChatConfig;
use crate::services::chat::dialect::{self, ChatDialect};
use crate::services::chat::names::SERVER;
use crate::services::chat::request::{ErrorReply, HubRequest, ParsedFrame, RoomText};
use crate::services::chat::wire::ChatEvent;

impl Hub {
    /// Adds the peer of a new connection to the lobby, as a guest, or rejects it.
    pub(crate) fn on_open(
        &mut self,
        conn: ConnId,
        dialect: ChatDialect,
        peer: Option<SocketAddr>,
        now: Instant,
        out: &mut dyn HubOutput,
    ) {
        if let Err(error) = self.admit(peer.map(|peer| peer.ip()), now) {
            self.counts.rejected += 1;
            if let Some(cause) = cause_of(&error) {
                let endpoint = MemberEndpoint::Connection { id: conn, dialect, peer };
                out.warn(cause, format_args!("chat {endpoint} rejected: {}", error.text));
            }
            self.send_event_to(conn, dialect, &error.event(None), out);
            self.send_event_to(conn, dialect, &ChatEvent::Bye { reason: error.text.as_str().into() }, out);
            out.close(conn, error.text.into());
            return;
        }
        let id = self.members.add(conn, dialect, peer);
        self.join(id, RoomId::LOBBY, out);
        if dialect != ChatDialect::Json {
            self.send_welcome(id, out);
        }
    }

    /// Handles a frame of a console or a member.
    pub(crate) fn on_frame(&mut self, conn: ConnId, frame: &[u8], time: EventTime, out: &mut dyn HubOutput) {
        if self.consoles.iter().any(|console| console.conn == conn) {
            self.handle_operator_line(conn, frame, time, out);
            return;
        }
        let Some(id) = self.members.by_conn(conn) else { return };
        let Some((_, dialect)) = self.members.get(id).and_then(ChatMember::conn) else { return };
        if dialect == ChatDialect::Raw && frame.starts_with(b"/") {
            // One read may hold several lines. The lines after a command are not its arguments.
            for line in frame.split(|byte| *byte == b'\n') {
                self.handle_frame(id, dialect, line, time, out);
            }
        } else {
            self.handle_frame(id, dialect, frame, time, out);
        }
    }

    /// Parses a frame, executes its request, and sends the error reply if that fails.
    fn handle_frame(
        &mut self,
        id: MemberId,
        dialect: ChatDialect,
        frame: &[u8],
        time: EventTime,
        out: &mut dyn HubOutput,
    ) {
        let ChatConfig { max_requests_per_second, max_burst_requests, encoding, .. } = self.config;
        // Frames that arrive after `disconnect` are ignored.
        let Some(member) = self.members.get_mut(id).filter(|member| !member.is_disconnecting) else { return };
        if !member.bucket.try_take(time.now, max_requests_per_second, max_burst_requests) {
            self.disconnect_for_flood(id, out);
            return;
        }
        if dialect != ChatDialect::Json && !member.is_announced && dialect::is_http_request(frame) {
            self.disconnect(id, "this is a chat server, and that was an HTTP request", out);
            return;
        }
        let text = if dialect == ChatDialect::Json { frame.into() } else { telnet::strip_commands(frame, encoding) };
        let Some(ParsedFrame { request, label }) = dialect::parse_frame(dialect, &text, encoding) else { return };
        // Pending messages are sent before the answer. A `say` does not flush them: its message
        // joins the batch of the turn.
        if !matches!(request, Ok(HubRequest::Say { .. })) {
            self.flush_rooms_of(id, out);
        }
        let error_label = label.clone();
        if let Err(error) = request.and_then(|request| self.handle_request(id, request, label, time, out)) {
            self.send_event(id, &error.event(error_label), out);
        }
    }

    /// Closes the member's connection: `on_close` sends `bye` with the reason. Removes a UDP
    /// member.
    pub(super) fn disconnect(&mut self, id: MemberId, reason: &str, out: &mut dyn HubOutput) {
        self.flush_rooms_of(id, out);
        let endpoint = self.members.get_mut(id).map(|member| {
            member.is_disconnecting = true;
            member.endpoint
        });
        match endpoint {
            // `on_close` removes the member when the engine has closed the connection.
            Some(MemberEndpoint::Connection { id: conn, .. }) => out.close(conn, reason.to_owned().into()),
            Some(MemberEndpoint::Udp { address }) => {
                let bye = RoomText::message(format!("bye: {reason}"));
                out.send_datagram(address, dialect::encode_datagram(SERVER, &bye, self.config.encoding));
                self.remove_member(id, true, out);
            }
            None => {}
        }
    }

    fn disconnect_for_flood(&mut self, id: MemberId, out: &mut dyn HubOutput) {
        self.counts.rate_limited += 1;
        // The messages within the limit are published, and the member receives them before `bye`.
        self.flush_rooms_of(id, out);
        let error = self.rate_limit_error();
        self.send_event(id, &error.event(None), out);
        if let Some(cause) = cause_of(&error) {
            self.log_removal(id, cause, &error.text, out);
        }
        self.disconnect(id, "flood", out);
    }

    /// Returns the error of a request beyond the rate limit.
    pub(super) fn rate_limit_error(&self) -> ErrorReply {
        let ChatConfig { max_requests_per_second: rate, max_burst_requests: burst, .. } = self.config;
        let messages = counted(rate.into(), "message", "messages");
        ErrorReply::new("flood", format!("rate limit exceeded: {messages} per second after a burst of {burst}"))
    }

    /// Removes the console or the member of a closed connection.
    pub(crate) fn on_close(&mut self, conn: ConnId, reason: &CloseReason, out: &mut dyn HubOutput) {
        if let Some(at) = self.consoles.iter().position(|console| console.conn == conn) {
            self.consoles.swap_remove(at);
            if *reason != CloseReason::ShuttingDown {
                log::info!("console closed: {reason}; the server runs until SIGTERM");
            }
        }
        let Some(id) = self.members.by_conn(conn) else { return };
        // What was said before comes before the gaps and the bye.
        self.flush_rooms_of(id, out);
        // A peer that has closed its side may read on.
        self.send_gaps(id, out);
        match reason {
            CloseReason::PeerClosed | CloseReason::PeerReset(_) | CloseReason::SlowConsumer(_) => {}
            // In particular the reason of `disconnect`. Sent here and not there, because a reply of
            // the connection itself is never dropped.
            _ => self.send_event(id, &ChatEvent::Bye { reason: reason.to_string().into() }, out),
        }
        // During shutdown all members leave, so an announcement would have no receivers.
        self.remove_member(id, *reason != CloseReason::ShuttingDown, out);
    }

    /// Returns the nick of a connection's member.
    pub(crate) fn nick_of(&self, conn: ConnId) -> Option<String> {
        let member = self.members.get(self.members.by_conn(conn)?)?;
        Some(member.nick.to_string())
    }
}
