//! The operator's console: sees what is said in every room, speaks, and keeps order.

use std::net::IpAddr;

use super::admission::network;
use super::speech::rfc3339;
use super::{Hub, Outlet, When};
use crate::frame::Payload;
use crate::service::ConnId;
use crate::services::chat::ask::{Ask, Order, Refusal};
use crate::services::chat::dialect::{self, OPERATOR_HELP};
use crate::services::chat::names::{OPERATOR, check_room, check_text};
use crate::services::chat::rules::MAX_BANS;
use crate::services::chat::wire::{Event, LOBBY};

/// A console, and the room that its lines are said to.
pub(super) struct Console {
    pub(super) conn: ConnId,
    room: String,
}

impl Hub {
    pub(in crate::services::chat) fn open_console(&mut self, conn: ConnId) {
        self.consoles.push(Console { conn, room: LOBBY.to_owned() });
    }

    /// Shows the operator something.
    pub(super) fn show(&self, event: &Event<'_>, out: &mut dyn Outlet) {
        if self.consoles.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        dialect::tell_operator(event, &self.palette, &mut lines);
        for Console { conn, .. } in &self.consoles {
            for line in &lines {
                out.send(*conn, line.clone());
            }
        }
    }

    pub(super) fn hear_operator(&mut self, conn: ConnId, line: &[u8], when: When, out: &mut dyn Outlet) {
        let Some(ask) = dialect::hear_operator(line) else { return };
        if let Err(refusal) = ask.and_then(|ask| self.obey_operator(conn, ask, when, out)) {
            self.show(&refusal.event(None), out);
        }
    }

    fn obey_operator(&mut self, conn: ConnId, ask: Ask<'_>, when: When, out: &mut dyn Outlet) -> Result<(), Refusal> {
        let said_to = self.consoles.iter().find(|console| console.conn == conn);
        let said_to = said_to.map_or_else(|| LOBBY.to_owned(), |console| console.room.clone());
        match ask {
            Ask::Say { text, .. } => {
                check_text(&text, self.rules.max_text_bytes)?;
                let room = self.known(&said_to)?;
                self.speak(room, OPERATOR, &text, when, out);
            }
            Ask::Whisper { to, text } => {
                check_text(&text, self.rules.max_text_bytes)?;
                let id = self.listener(&to)?;
                let (from, at) = (OPERATOR.into(), rfc3339(when.wall).into());
                let event = Event::Whisper { from, to, text, at };
                self.tell(id, &event, out);
                self.show(&event, out);
            }
            Ask::Join { room, .. } => {
                check_room(&room)?;
                self.known(&room)?;
                if let Some(console) = self.consoles.iter_mut().find(|console| console.conn == conn) {
                    console.room = room.clone().into_owned();
                }
                print(conn, &format!("* you speak in {room} now"), out);
            }
            Ask::Who { room, next } => {
                let event = self.who(self.known(room.as_deref().unwrap_or(&said_to))?, next);
                self.show(&event, out);
                if let Event::Who { room, next: Some(next), .. } = event {
                    print(conn, &format!("* /who {room} {next} goes on"), out);
                }
            }
            Ask::Rooms { next } => {
                let event = self.list_rooms(next);
                self.show(&event, out);
                if let Event::Rooms { next: Some(next), .. } = event {
                    print(conn, &format!("* /rooms {next} goes on"), out);
                }
            }
            Ask::Help => print(conn, OPERATOR_HELP, out),
            Ask::Operator(order) => self.execute(conn, &order, out)?,
            // Its lines have no words for the rest.
            _ => {}
        }
        Ok(())
    }

    fn execute(&mut self, conn: ConnId, order: &Order<'_>, out: &mut dyn Outlet) -> Result<(), Refusal> {
        match order {
            Order::Kick { nick } => {
                let id = self.somebody(nick)?;
                self.end(id, "kicked by the operator", out);
                print(conn, &format!("* {nick} is kicked"), out);
            }
            Order::Ban { address } => self.ban(conn, *address, out)?,
            Order::Unban { address } => {
                let known = self.bans.remove(&network(*address));
                let words = if known { "is let in again" } else { "was not banned" };
                print(conn, &format!("* {address} {words}"), out);
            }
            Order::Bans => {
                let mut bans: Vec<_> = self.bans.iter().collect();
                bans.sort_unstable();
                let bans: Vec<_> = bans.into_iter().map(ToString::to_string).collect();
                print(conn, &format!("* {} banned: {}", bans.len(), bans.join(" ")), out);
            }
            Order::Stats => {
                let stats = self.stats();
                print(conn, &stats, out);
            }
            Order::Shutdown => out.shutdown(),
        }
        Ok(())
    }

    fn ban(&mut self, conn: ConnId, address: IpAddr, out: &mut dyn Outlet) -> Result<(), Refusal> {
        let address = network(address);
        if self.bans.len() >= MAX_BANS && !self.bans.contains(&address) {
            return Err(Refusal::new("too-many", format!("{MAX_BANS} addresses are banned already: /unban some")));
        }
        self.bans.insert(address);
        let here = self.members.at(address);
        for id in &here {
            self.end(*id, "this address is banned", out);
        }
        print(conn, &format!("* {address} is banned, and {} of its connections end", here.len()), out);
        Ok(())
    }

    fn stats(&self) -> String {
        let (members, by_udp, rooms) = (self.members.len(), self.members.source_count(), self.rooms.len());
        let super::Counts { messages, deliveries, refused, flooded } = self.counts;
        let kept = self.rooms.kept_bytes();
        format!(
            "* {members} members, {by_udp} of them by UDP, in {rooms} rooms\n\
             * {messages} messages said, {deliveries} deliveries; {kept} bytes of messages kept\n\
             * {refused} refused, {flooded} times too fast"
        )
    }
}

fn print(conn: ConnId, text: &str, out: &mut dyn Outlet) {
    for line in text.lines() {
        out.send(conn, Payload::from(line));
    }
}
