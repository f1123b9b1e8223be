//! What a session makes of what the server says.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::error_events::KICKED;
use super::notice::Notice;
use super::options::Action;
use super::rate_limiter::Kind;
use super::room::Room;
use super::session::Session;
use super::state::{Farewell, Link, Ping, Urgent};
use crate::services::chat::wire::{Event, Request};

/// Messages of a replay that are kept until their number is known; past it they are shown uncounted. Also, those that come before
/// it is known whose they are.
const MAX_REPLAY: usize = 4096;

/// Rooms that are put in order. A server that names more than it lets one enter has its messages shown as they come.
const MAX_ROOMS: usize = 256;

impl Session {
    pub(super) fn hear(&mut self, event: Event<'static>, now: Duration) {
        if !matches!(event, Event::Bye { .. } | Event::Error { .. } | Event::Message { .. }) {
            // It lives and answers: what went wrong before is over.
            self.backoff.succeeded();
        }
        match &event {
            Event::Welcome { nick, messages_per_second, burst, server, .. } => {
                let (nick, server) = (nick.clone().into_owned(), server.clone());
                self.pace.answered(Kind::Hello, now);
                self.pace.allow(*messages_per_second, *burst, now);
                self.hear_server(server.map(Cow::into_owned));
                self.hear_welcome(nick, event, now);
            }
            Event::Joined { room, nick } => {
                let (room, nick) = (room.clone(), nick.clone());
                self.hear_joined(&room, &nick, event, now);
            }
            Event::Left { room, nick } if self.is_own(nick) => {
                self.pace.answered(Kind::Other, now);
                let room = room.clone();
                if self.rooms.contains_key(&*room) {
                    self.show(event);
                }
                self.forget_room(&room);
            }
            Event::Message { .. } if self.returning && self.link == Link::Greeting => self.keep_early(event, now),
            Event::Message { .. } => self.hear_message(event, now),
            Event::Ack { label, id } => self.hear_ack(label, *id, now),
            Event::Whisper { from, .. } => {
                if self.is_own(from) {
                    self.whispers.pop_front();
                    self.progress_at = now;
                    self.pace.answered(Kind::Other, now);
                }
                self.show(event);
            }
            Event::Who { room, next, .. } => {
                let more = next.map(|next| Request::Who { room: room.clone(), next: Some(next) });
                self.hear_page(event, more, now);
            }
            Event::Rooms { next, .. } => {
                let more = next.map(|next| Request::Rooms { next: Some(next) });
                self.hear_page(event, more, now);
            }
            Event::Renamed { was, nick } => {
                let asked = self.renaming.as_ref().is_some_and(|(_, asked)| asked == nick);
                if asked || self.is_own(was) {
                    let nick = nick.clone().into_owned();
                    (self.nick, self.wished, self.renaming) = (Some(nick.clone()), Some(nick), None);
                    self.pace.answered(Kind::Other, now);
                }
                self.show(event);
            }
            Event::Pong => {
                self.pace.answered(Kind::Ping, now);
                self.hear_pong(now);
            }
            Event::Error { .. } => self.hear_error(event, now),
            Event::Bye { reason } if reason == KICKED => {
                let reason = reason.clone().into_owned();
                self.show(event);
                self.turned_away(&reason);
            }
            Event::Left { .. } | Event::Bye { .. } => self.show(event),
        }
        self.finish_if_done();
    }

    /// Another server, or the same started again, knows nothing of what this one's ids were.
    fn hear_server(&mut self, server: Option<String>) {
        if server.is_none() || server == self.server {
            return;
        }
        if self.server.is_some() {
            for (name, room) in &mut self.rooms {
                if room.begin_anew() {
                    self.actions.push_back(Action::Tell(Notice::Anew { room: name.clone() }));
                }
            }
        }
        self.server = server;
    }

    /// A message that may have another server's id waits until that is known. The server does not send it again on this connection,
    /// so where there is no more room, only another connection leaves no gap.
    fn keep_early(&mut self, message: Event<'static>, now: Duration) {
        if self.early.len() < MAX_REPLAY {
            return self.early.push(message);
        }
        self.actions.push_back(Action::Disconnect);
        self.handle_lost("the server says too much before it says who it is", now);
    }

    fn hear_welcome(&mut self, nick: String, event: Event<'static>, now: Duration) {
        self.greeting = None;
        if let Some(wished) = self.wished.clone().filter(|wished| *wished != nick) {
            self.tell(Notice::Renamed { wished, nick: Some(nick.clone()) });
        } else if !self.returning {
            self.show(event);
        }
        self.nick = Some(nick);
        if self.link == Link::Greeting {
            self.enter_rooms(now);
        }
    }

    fn hear_joined(&mut self, name: &str, nick: &str, event: Event<'static>, now: Duration) {
        let known = self.rooms.get_mut(name);
        // Nobody hears of others in a room before it is in there, so the first to enter is the user.
        let own = match &self.nick {
            Some(own) => own == nick,
            None => known.as_ref().is_some_and(|room| room.asked.is_some() && !room.entered),
        };
        if !own {
            return self.show(event);
        }
        self.nick = Some(nick.to_owned());
        self.pace.answered(Kind::Join, now);
        let is_news = if let Some(room) = known {
            room.asked = None;
            !std::mem::replace(&mut room.entered, true)
        } else {
            if self.rooms.len() < MAX_ROOMS {
                self.rooms.insert(name.to_owned(), Room::entered());
            }
            true
        };
        if is_news {
            self.show(event);
        }
    }

    pub(super) fn hear_message(&mut self, event: Event<'static>, now: Duration) {
        let Event::Message { room: name, id, .. } = &event else { return };
        let (name, id) = (name.clone().into_owned(), *id);
        let Some(room) = self.rooms.get_mut(&name) else {
            return self.show(event);
        };
        let mut shown = Vec::new();
        let count = room.take(id, event, now, &mut shown);
        self.show_in_order(&name, shown, count);
    }

    /// Shows messages of one room, of which `missing` before them will not be shown.
    pub(super) fn show_in_order(&mut self, room: &str, shown: Vec<Event<'static>>, missing: u64) {
        if missing > 0 {
            self.tell(Notice::Missing { room: room.to_owned(), count: missing });
        }
        for message in shown {
            self.recognise(&message);
            if self.link == Link::CatchingUp {
                self.replay.push(message);
                if self.replay.len() > MAX_REPLAY {
                    self.come_back(None);
                }
            } else {
                self.show(message);
            }
        }
    }

    /// A message may be one of the user's whose acknowledgement is still to come, or was lost. It has been said, then.
    fn recognise(&mut self, message: &Event<'static>) {
        let Event::Message { room, id, from, text, .. } = message else { return };
        let Some(known) = self.rooms.get_mut(&**room) else { return };
        if *id <= known.acked {
            return;
        }
        let own = self
            .unacked
            .iter()
            .position(|said| said.room == **room && said.text == **text && said.nick.as_deref() == Some(from));
        if let Some(position) = own {
            known.acked = *id;
            self.unacked.remove(position);
        }
    }

    fn hear_ack(&mut self, label: &Value, id: u64, now: Duration) {
        let Some(label) = label.as_u64() else { return };
        self.pace.arrived(label, now);
        let position = self.unacked.iter().position(|said| said.label == Some(label));
        if let Some(said) = position.and_then(|position| self.unacked.remove(position)) {
            self.progress_at = now;
            if let Some(room) = self.rooms.get_mut(&said.room) {
                room.acked = room.acked.max(id);
            }
        }
    }

    fn hear_page(&mut self, event: Event<'static>, more: Option<Request<'static>>, now: Duration) {
        self.pace.answered(Kind::Other, now);
        self.show(event);
        if let Some(more) = more.filter(|_| self.pages > 0) {
            self.pages -= 1;
            self.urgent.push_back(Urgent::Ask(more));
        }
    }

    fn hear_pong(&mut self, now: Duration) {
        match self.pings.pop_front() {
            Some(Ping::CaughtUp) => {
                // The replay came before this, so what is still missing is not coming.
                self.give_up_gaps(|_| true, now);
                if self.link == Link::CatchingUp {
                    self.come_back(Some(self.replay.len()));
                }
                let count = self.unacked.len();
                if count > 0 {
                    self.tell(Notice::Again { count });
                }
            }
            Some(Ping::Finished) => {
                self.progress_at = now;
                self.farewell = Farewell::Answered;
            }
            Some(Ping::Alive) | None => {}
        }
    }

    fn finish_if_done(&mut self) {
        if self.link != Link::Over
            && self.farewell == Farewell::Answered
            && self.unacked.is_empty()
            && self.queue.is_empty()
        {
            self.finish();
        }
    }

    /// Gives up the gaps that the server has neither filled nor announced, in rooms where waiting is over.
    pub(super) fn give_up_gaps(&mut self, is_over: impl Fn(&Room) -> bool, now: Duration) {
        let names: Vec<_> = self.rooms.iter().filter(|(_, room)| is_over(room)).map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut shown = Vec::new();
            let missing = self.rooms.get_mut(&name).map_or(0, |room| room.give_up(now, &mut shown));
            self.show_in_order(&name, shown, missing);
        }
    }

    /// The replay is over, or too long to be counted.
    fn come_back(&mut self, missed: Option<usize>) {
        self.tell(Notice::Back { missed });
        self.link = Link::Ready;
        self.flush_replay();
    }

    pub(super) fn flush_replay(&mut self) {
        let replay = std::mem::take(&mut self.replay);
        self.actions.extend(replay.into_iter().map(Action::Show));
    }

    fn is_own(&self, nick: &str) -> bool {
        self.nick.as_deref() == Some(nick)
    }

    pub(super) fn show(&mut self, event: Event<'static>) {
        self.actions.push_back(Action::Show(event));
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.actions.push_back(Action::Tell(notice));
    }
}
