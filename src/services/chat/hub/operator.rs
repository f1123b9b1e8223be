//! The operator's console. It shows the messages of every room, sends text and executes the
//! operator's commands.

use super::messages::rfc3339;
use super::output::{EventTime, HubOutput};
use super::state::{Hub, OperatorConsole};
use crate::frame::Payload;
use crate::service::ConnId;
use crate::services::chat::dialect::{self, OPERATOR_HELP};
use crate::services::chat::names::{OPERATOR, check_room, check_text};
use crate::services::chat::request::{ErrorReply, HubRequest};
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
                let to = self.members.get(id).map_or(to, |member| member.nick.to_string().into());
                let (from, at) = (OPERATOR.into(), rfc3339(time.wall).into());
                let event = ChatEvent::Whisper { from, to, text, at };
                self.send_whisper(id, &event, out);
                self.print_event(&event, out);
            }
            HubRequest::Join { room, .. } => {
                check_room(&room)?;
                let name = self.find_room(&room).map(|room| self.room_name(room))?;
                if let Some(console) = self.consoles.iter_mut().find(|console| console.conn == conn) {
                    console.room = name.to_string();
                }
                print_text(conn, &format!("* you speak in {name} now"), out);
            }
            HubRequest::Who { room, next } => {
                let room = self.find_room(room.as_deref().unwrap_or(&current_room))?;
                print_text(conn, &self.who_text(room, next), out);
            }
            HubRequest::Rooms { next } => {
                let event = self.rooms_page(next);
                self.print_event(&event, out);
                if let ChatEvent::Rooms { next: Some(next), .. } = event {
                    print_text(conn, &format!("* /rooms {next} goes on"), out);
                }
            }
            HubRequest::Help => print_text(conn, OPERATOR_HELP, out),
            HubRequest::Operator(command) => self.moderate(conn, command, time.now, out)?,
            // Unreachable: `parse_operator_line` returns no other request.
            _ => {}
        }
        Ok(())
    }
}

/// Prints text on one console.
pub(super) fn print_text(conn: ConnId, text: &str, out: &mut dyn HubOutput) {
    for line in text.lines() {
        out.send(conn, Payload::from(line));
    }
}
