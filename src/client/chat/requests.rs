//! What a session says to the server: in which order, and no faster than the server allows.

use std::time::Duration;

use super::options::Action;
use super::rate_limiter::Kind;
use super::session::Session;
use super::state::{Farewell, Link, Ping, Said, Urgent};
use super::{Command, LOBBY, Notice, pieces};
use crate::services::chat::wire::{Labelled, Request};

/// Messages that wait for their acknowledgement.
const MAX_UNACKED: usize = 64;

/// Further pages of one list that are asked for. A server that always has one more is not followed for ever.
const MAX_PAGES: u32 = 100;

impl Session {
    /// Asks for a nick, before anything else.
    pub(super) fn greet(&mut self, nick: String) {
        self.urgent.push_front(Urgent::Ask(Request::Hello { nick: nick.into() }));
    }

    /// Enters the rooms that the user is to be in. On coming back, all that was said meanwhile is asked for.
    pub(super) fn enter_rooms(&mut self, now: Duration) {
        if !self.rooms.contains_key(LOBBY) {
            self.urgent.push_back(Urgent::Ask(Request::Leave { room: LOBBY.into() }));
        }
        for (name, room) in &self.rooms {
            let since = room.since().filter(|_| self.returning);
            if since.is_some() || name != LOBBY {
                self.urgent.push_back(Urgent::Ask(Request::Join { room: name.clone().into(), since }));
            }
        }
        if self.returning {
            self.urgent.push_back(Urgent::Ping(Ping::CaughtUp));
            self.link = Link::CatchingUp;
        } else {
            self.link = Link::Ready;
        }
        for message in std::mem::take(&mut self.early) {
            self.hear_message(message, now);
        }
    }

    pub(super) fn obey(&mut self, command: Command, now: Duration) {
        match command {
            Command::Say(text) => self.queue_says(&text),
            Command::Whisper { to, text } => {
                let whispers = pieces(&text)
                    .map(|piece| Request::Whisper { to: to.clone().into(), text: piece.to_owned().into() });
                self.queue.extend(whispers);
            }
            Command::Join(room) => {
                if !self.is_in(&room) {
                    self.queue.push_back(Request::Join { room: room.clone().into(), since: None });
                    // One that is being left is not forgotten yet.
                    self.rooms.entry(room.clone()).or_default().leaving = false;
                }
                self.current = room;
            }
            Command::Switch(room) => {
                if self.is_in(&room) {
                    self.current = room;
                } else {
                    self.answer(format!("you are not in {room}: /join {room} enters it"));
                }
            }
            Command::Leave(room) => {
                let room = room.unwrap_or_else(|| self.current.clone());
                if self.is_in(&room) {
                    if let Some(left) = self.rooms.get_mut(&room) {
                        left.leaving = true;
                    }
                    self.turn_from(&room);
                    self.queue.push_back(Request::Leave { room: room.into() });
                } else {
                    self.answer(format!("you are not in {room}"));
                }
            }
            Command::Nick(nick) => self.queue.push_back(Request::Nick { nick: nick.into() }),
            Command::Who(room) => {
                self.pages = MAX_PAGES;
                let room = room.unwrap_or_else(|| self.current.clone());
                self.queue.push_back(Request::Who { room: room.into(), next: None });
            }
            Command::Rooms => {
                self.pages = MAX_PAGES;
                self.queue.push_back(Request::Rooms { next: None });
            }
            Command::Me => {
                let nick = self.nick.as_deref().unwrap_or("a guest");
                let rooms: Vec<_> = self.rooms().collect();
                self.answer(format!("you are {nick}, in {}; you speak in {}", rooms.join(", "), self.current));
            }
            Command::Finish => {
                self.farewell = Farewell::Meant;
                self.progress_at = now;
            }
        }
    }

    pub(super) fn answer(&mut self, text: String) {
        self.actions.push_back(Action::Tell(Notice::Answer(text)));
    }

    /// What was meant for a room must not reach another, so nothing is said where the user is not, or no more.
    fn queue_says(&mut self, text: &str) {
        let room = self.current.clone();
        if !self.is_in(&room) {
            self.refused += 1;
            return self.answer(format!("not said, because you are not in {room}: /join ROOM enters one"));
        }
        let pieces =
            pieces(text).map(|piece| Request::Say { room: room.clone().into(), text: piece.to_owned().into() });
        self.queue.extend(pieces);
    }

    /// The user leaves a room, and speaks in another from now on.
    fn turn_from(&mut self, room: &str) {
        if self.current == room {
            let others: Vec<_> = self.rooms().filter(|other| *other != room).collect();
            let next = others.iter().find(|other| **other == LOBBY).or(others.first());
            self.current = next.map_or(LOBBY, |next| *next).to_owned();
        }
    }

    /// Whether the user is in a room, or will be when all is done that was asked.
    fn is_in(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| !room.leaving)
    }

    /// The server has let the user out of a room, who may have asked to be let in again since.
    pub(super) fn forget_room(&mut self, name: &str) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let is_join = |request: &Request<'_>| matches!(request, Request::Join { room, .. } if room == name);
        if room.asked.is_some() || self.queue.iter().any(is_join) {
            room.leave();
        } else {
            self.rooms.remove(name);
        }
    }

    /// Of rooms that were being left when the connection was lost: nobody is in one who does not enter it again.
    pub(super) fn leave_again(&mut self) {
        let Self { rooms, queue, unacked, .. } = self;
        rooms.retain(|name, room| {
            let is_leave = |request: &Request<'_>| matches!(request, Request::Leave { room } if room == name);
            if !room.leaving || queue.iter().any(is_leave) {
                return true;
            }
            // What was said there before has still to be said again.
            let speaks = unacked.iter().any(|said| said.room == *name);
            if speaks {
                queue.push_front(Request::Leave { room: name.clone().into() });
            }
            speaks
        });
    }

    pub(super) fn has_something_to_send(&self) -> bool {
        let greeted = self.link == Link::Ready;
        let again = self.unacked.iter().any(|said| said.label.is_none());
        !self.urgent.is_empty() || greeted && (again || !self.queue.is_empty() || self.may_ask_for_the_end())
    }

    /// Sends what may be sent.
    pub(super) fn pump(&mut self, now: Duration) {
        while matches!(self.link, Link::Greeting | Link::CatchingUp | Link::Ready)
            && self.has_something_to_send()
            && self.pace.may_send(now)
        {
            if let Some(urgent) = self.urgent.pop_front() {
                self.send_urgent(urgent, now);
            } else if let Some(again) = self.unacked.iter().position(|said| said.label.is_none()) {
                self.say_again(again, now);
            } else if let Some(request) = self.next_of_queue() {
                self.send_request(request, now);
            } else if self.may_ask_for_the_end() {
                self.send_urgent(Urgent::Ping(Ping::Finished), now);
            } else {
                break;
            }
        }
    }

    fn next_of_queue(&mut self) -> Option<Request<'static>> {
        let waits = matches!(self.queue.front(), Some(Request::Say { .. })) && self.unacked.len() >= MAX_UNACKED;
        if waits { None } else { self.queue.pop_front() }
    }

    fn may_ask_for_the_end(&self) -> bool {
        self.farewell == Farewell::Meant && self.queue.is_empty() && !self.pings.contains(&Ping::Finished)
    }

    fn send_urgent(&mut self, urgent: Urgent, now: Duration) {
        match urgent {
            Urgent::Ask(request) => self.send_request(request, now),
            Urgent::Ping(purpose) => {
                self.pings.push_back(purpose);
                self.send(Request::Ping, Kind::Ping, now);
            }
        }
    }

    fn send_request(&mut self, request: Request<'static>, now: Duration) {
        // To come back is no progress: who is never let in would come back for ever.
        if self.link == Link::Ready {
            self.progress_at = now;
        }
        match &request {
            Request::Hello { .. } => self.greeting = Some(self.send(request, Kind::Hello, now)),
            Request::Nick { nick } => {
                let nick = nick.clone().into_owned();
                self.renaming = Some((self.send(request, Kind::Other, now), nick));
            }
            Request::Whisper { .. } => {
                let label = self.send(request, Kind::Other, now);
                self.whispers.push_back(label);
                // Of a server that does not send them back, the last few are remembered.
                if self.whispers.len() > MAX_UNACKED {
                    self.whispers.pop_front();
                }
            }
            Request::Join { room, .. } => {
                let room = room.clone().into_owned();
                let asked = self.send(request, Kind::Join, now);
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.asked = Some(asked);
                }
            }
            Request::Say { room, text } => {
                let (room, text) = (room.clone().into_owned(), text.clone().into_owned());
                let label = Some(self.send(request, Kind::Say, now));
                self.unacked.push_back(Said { room, text, nick: self.nick.clone(), label });
            }
            _ => {
                self.send(request, Kind::Other, now);
            }
        }
    }

    fn say_again(&mut self, position: usize, now: Duration) {
        let Some(said) = self.unacked.get(position) else { return };
        let request = Request::Say { room: said.room.clone().into(), text: said.text.clone().into() };
        let label = self.send(request, Kind::Say, now);
        let nick = self.nick.clone();
        if let Some(said) = self.unacked.get_mut(position) {
            (said.label, said.nick) = (Some(label), nick);
        }
    }

    fn send(&mut self, request: Request<'static>, kind: Kind, now: Duration) -> u64 {
        let number = self.next_label();
        self.pace.sent(number, kind, now);
        self.actions.push_back(Action::Send(Labelled { request, label: Some(number.into()) }));
        number
    }
}
