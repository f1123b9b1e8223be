//! The operator's console. It shows the messages of every room, sends text and executes the
//! operator's commands.

use std::net::IpAddr;

use super::admission::network;
use super::messages::rfc3339;
use super::output::{EventTime, HubOutput};
use super::state::{Hub, HubCounts, OperatorConsole};
use crate::frame::Payload;
use crate::service::ConnId;
use crate::services::chat::config::MAX_BANS;
use crate::services::chat::dialect::{self, OPERATOR_HELP};
use crate::services::chat::names::{OPERATOR, check_room, check_text};
use crate::services::chat::request::{ErrorReply, HubRequest, OperatorCommand};
use crate::services::chat::wire::{ChatEvent, LOBBY};

impl Hub {
    /// Adds a console, whose text goes to the lobby.
    pub(crate) fn on_console_open(&mut self, conn: ConnId) {
        self.consoles.push(OperatorConsole { conn, room: LOBBY.to_owned() });
    }

    /// Prints an event on every console.
    pub(super) fn print_event(&self, event: &ChatEvent<'_>, out: &mut dyn HubOutput) {
        if self.consoles.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        dialect::encode_operator_event(event, &self.palette, &mut lines);
        for OperatorConsole { conn, .. } in &self.consoles {
            for line in &lines {
                out.send(*conn, line.clone());
            }
        }
    }

    /// Executes a line of a console, and prints the error if that fails.
    pub(super) fn handle_operator_line(&mut self, conn: ConnId, line: &[u8], time: EventTime, out: &mut dyn HubOutput) {
        let Some(request) = dialect::parse_operator_line(line) else { return };
        if let Err(error) = request.and_then(|request| self.handle_operator_request(conn, request, time, out)) {
            self.print_event(&error.event(None), out);
        }
    }

    fn handle_operator_request(
        &mut self,
        conn: ConnId,
        request: HubRequest<'_>,
        time: EventTime,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        let console = self.consoles.iter().find(|console| console.conn == conn);
        let current_room = console.map_or_else(|| LOBBY.to_owned(), |console| console.room.clone());
        match request {
            HubRequest::Say { message, .. } => {
                check_text(&message.text, self.config.max_text_bytes)?;
                let room = self.find_room(&current_room)?;
                self.publish(room, OPERATOR, &message, time, out);
            }
            HubRequest::Whisper { to, text } => {
                check_text(&text, self.config.max_text_bytes)?;
                let id = self.find_whisper_recipient(&to)?;
                let (from, at) = (OPERATOR.into(), rfc3339(time.wall).into());
                let event = ChatEvent::Whisper { from, to, text, at };
                self.send_event(id, &event, out);
                self.print_event(&event, out);
            }
            HubRequest::Join { room, .. } => {
                check_room(&room)?;
                self.find_room(&room)?;
                if let Some(console) = self.consoles.iter_mut().find(|console| console.conn == conn) {
                    console.room = room.clone().into_owned();
                }
                print_text(conn, &format!("* you speak in {room} now"), out);
            }
            HubRequest::Who { room, next } => {
                let event = self.who_page(self.find_room(room.as_deref().unwrap_or(&current_room))?, next);
                self.print_event(&event, out);
                if let ChatEvent::Who { room, next: Some(next), .. } = event {
                    print_text(conn, &format!("* /who {room} {next} goes on"), out);
                }
            }
            HubRequest::Rooms { next } => {
                let event = self.rooms_page(next);
                self.print_event(&event, out);
                if let ChatEvent::Rooms { next: Some(next), .. } = event {
                    print_text(conn, &format!("* /rooms {next} goes on"), out);
                }
            }
            HubRequest::Help => print_text(conn, OPERATOR_HELP, out),
            HubRequest::Operator(command) => self.execute(conn, &command, out)?,
            // Unreachable: `parse_operator_line` returns no other request.
            _ => {}
        }
        Ok(())
    }

    fn execute(
        &mut self,
        conn: ConnId,
        command: &OperatorCommand<'_>,
        out: &mut dyn HubOutput,
    ) -> Result<(), ErrorReply> {
        match command {
            OperatorCommand::Kick { nick } => {
                let id = self.find_member(nick)?;
                self.disconnect(id, "kicked by the operator", out);
                print_text(conn, &format!("* {nick} is kicked"), out);
            }
            OperatorCommand::Ban { address } => self.ban(conn, *address, out)?,
            OperatorCommand::Unban { address } => {
                let was_banned = self.bans.remove(&network(*address));
                let result = if was_banned { "is unbanned" } else { "was not banned" };
                print_text(conn, &format!("* {address} {result}"), out);
            }
            OperatorCommand::Bans => {
                let mut bans: Vec<_> = self.bans.iter().collect();
                bans.sort_unstable();
                let bans: Vec<_> = bans.into_iter().map(ToString::to_string).collect();
                print_text(conn, &format!("* {} banned: {}", bans.len(), bans.join(" ")), out);
            }
            OperatorCommand::Stats => {
                let stats = self.stats();
                print_text(conn, &stats, out);
            }
            OperatorCommand::Shutdown => out.drain(),
        }
        Ok(())
    }

    fn ban(&mut self, conn: ConnId, address: IpAddr, out: &mut dyn HubOutput) -> Result<(), ErrorReply> {
        let address = network(address);
        if self.bans.len() >= MAX_BANS && !self.bans.contains(&address) {
            return Err(ErrorReply::new("too-many", format!("{MAX_BANS} addresses are banned already: /unban some")));
        }
        self.bans.insert(address);
        let members = self.members.at(address);
        for id in &members {
            self.disconnect(*id, "this address is banned", out);
        }
        print_text(conn, &format!("* {address} is banned; connections closed: {}", members.len()), out);
        Ok(())
    }

    fn stats(&self) -> String {
        let (members, by_udp, rooms) = (self.members.len(), self.members.source_count(), self.rooms.len());
        let HubCounts { messages, deliveries, rejected, rate_limited } = self.counts;
        let kept = self.rooms.kept_bytes();
        format!(
            "* {members} members, {by_udp} of them by UDP, in {rooms} rooms\n\
             * {messages} messages, {deliveries} deliveries; {kept} bytes of messages kept\n\
             * {rejected} rejected, {rate_limited} rate-limited"
        )
    }
}

/// Prints text on one console.
fn print_text(conn: ConnId, text: &str, out: &mut dyn HubOutput) {
    for line in text.lines() {
        out.send(conn, Payload::from(line));
    }
}
