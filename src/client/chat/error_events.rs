//! What a session makes of what the server finds wrong: which request was not done, and whether to come back at all.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::notice::{Ending, Notice};
use super::options::Action;
use super::rate_limiter::Kind;
use super::room::Room;
use super::session::Session;
use super::state::Link;
use crate::services::chat::wire::Event;

/// What the server says to whom its operator sends away.
pub(super) const KICKED: &str = "kicked by the operator";

impl Session {
    pub(super) fn hear_error(&mut self, event: Event<'static>, now: Duration) {
        let Event::Error { code, text, room, first, count, offer, label } = &event else { return };
        let label = label.as_ref().and_then(Value::as_u64);
        if let Some(label) = label {
            self.pace.arrived(label, now);
        }
        match (&**code, room) {
            // Dropped because it was not read in time, and perhaps kept all the same: whoever comes back is sent it again.
            ("missed", Some(_)) if self.link == Link::Ready && !self.once => {
                self.actions.push_back(Action::Disconnect);
                self.handle_lost("the server dropped messages that were not read in time", now);
            }
            ("missed", Some(room)) => {
                let (name, first, count) = (room.clone().into_owned(), first.unwrap_or(1), count.unwrap_or(0));
                let mut shown = Vec::new();
                let missing = self.rooms.get_mut(&name).map_or(0, |room| room.skip(first, count, now, &mut shown));
                self.show_in_order(&name, shown, missing);
            }
            ("unknown-id", Some(room)) => {
                let room = room.clone().into_owned();
                if self.rooms.get_mut(&room).is_some_and(Room::begin_anew) {
                    self.tell(Notice::Anew { room });
                }
            }
            // Somewhere in a room or in several, the server has lost count. The ids that come next tell where.
            ("missed", None) => self.show(event),
            // It is no answer to anything that was asked: the server wants no connection at all.
            ("banned" | "too-many" | "full", _) if label.is_none() => {
                let banned = (&**code == "banned").then(|| text.clone());
                self.show(event);
                if let Some(reason) = banned {
                    self.turned_away(&reason);
                }
            }
            ("nick-taken", _) if self.link == Link::Greeting => {
                let offer = offer.clone();
                self.hear_nick_taken(offer.map(Cow::into_owned), now);
            }
            ("flood", _) => {
                self.pace.slow_down();
                self.show(event);
            }
            _ => {
                let is_greeting = self.link == Link::Greeting && label.is_some() && label == self.greeting;
                let why = (is_greeting && self.insists).then(|| text.clone());
                self.hear_refusal(label, now);
                self.show(event);
                if let Some(why) = why {
                    self.turned_away(&why);
                }
            }
        }
    }

    fn hear_nick_taken(&mut self, offer: Option<String>, now: Duration) {
        self.pace.answered(Kind::Hello, now);
        self.greeting = None;
        if let Some(offer) = offer.filter(|_| self.offers > 0) {
            self.offers -= 1;
            self.greet(offer);
        } else {
            let wished = self.wished.clone().unwrap_or_default();
            self.tell(Notice::Renamed { wished, nick: None });
            self.enter_rooms(now);
        }
    }

    /// Something that was asked with this label was not done.
    fn hear_refusal(&mut self, label: Option<u64>, now: Duration) {
        self.refused += 1;
        let Some(label) = label else { return };
        self.progress_at = now;
        if self.link == Link::Greeting && self.greeting == Some(label) {
            // A nick that cannot be had at all.
            (self.greeting, self.wished) = (None, None);
            self.enter_rooms(now);
        }
        self.unacked.retain(|said| said.label != Some(label));
        self.whispers.retain(|whisper| *whisper != label);
        if self.renaming.as_ref().is_some_and(|(asked, _)| *asked == label) {
            self.renaming = None;
        }
        let closed = self.rooms.iter().find(|(_, room)| room.asked == Some(label)).map(|(name, _)| name.clone());
        if let Some(room) = closed {
            self.rooms.remove(&room);
        }
    }

    /// Whoever was sent away on purpose does not come back by itself.
    pub(super) fn turned_away(&mut self, reason: &str) {
        self.end(Ending::TurnedAway(reason.to_owned()));
    }
}
