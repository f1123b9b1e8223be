//! Handling of error events: which request failed, and whether the session reconnects.

use std::borrow::Cow;
use std::time::Duration;

use super::action::SessionAction;
use super::notice::{Ending, Notice};
use super::rate_limiter::RequestKind;
use super::room::ClientRoom;
use super::session::ChatSession;
use super::state::SessionState;
use crate::services::chat::wire::{ChatEvent, RequestLabel};

/// Starts of the `bye` reasons after which a new connection would end in the same way, or is not
/// wanted. The last is that of a request over the server's limit for frames, which a new connection
/// would send again.
const FINAL_BYE_REASONS: [&str; 3] = ["kicked by the operator", "this address is banned", "frame too large"];

/// Returns true if the client must not reconnect after a `bye` with this reason.
pub(super) fn is_final_bye(reason: &str) -> bool {
    FINAL_BYE_REASONS.iter().any(|start| reason.starts_with(start))
}

impl ChatSession {
    pub(super) fn handle_error(&mut self, event: ChatEvent<'static>, now: Duration) {
        let ChatEvent::Error { code, text, room, first, count, offer, label, .. } = &event else { return };
        let label = label.as_ref().and_then(RequestLabel::as_u64);
        if let Some(label) = label {
            self.limiter.mark_arrived(label, now);
        }
        match (&**code, room) {
            // The server dropped messages of a slow reader, but may still keep them: the replay
            // after a reconnect sends them again.
            ("missed", Some(_)) if self.state == SessionState::Ready && !self.single_connection => {
                self.actions.push_back(SessionAction::Disconnect);
                self.handle_disconnected("the server dropped messages that were not read in time", now);
            }
            ("missed", Some(room)) => {
                let (name, first, count) = (room.clone().into_owned(), first.unwrap_or(1), count.unwrap_or(0));
                let mut shown = Vec::new();
                let missing = self.rooms.get_mut(&name).map_or(0, |room| room.skip(first, count, now, &mut shown));
                self.show_in_order(&name, shown, missing);
            }
            ("unknown-id", Some(room)) => {
                let room = room.clone().into_owned();
                if self.rooms.get_mut(&room).is_some_and(ClientRoom::reset_ids) {
                    self.notify(Notice::ServerRestarted { room });
                }
            }
            // The server cannot name the room. Gaps in the ids that follow show the lost
            // messages.
            ("missed", None) => self.show(event),
            // Without a label the error answers no request: the server rejects the connection
            // itself.
            ("banned" | "too-many" | "full", _) if label.is_none() => {
                let banned = (&**code == "banned").then(|| text.clone());
                self.show(event);
                if let Some(reason) = banned {
                    self.end_rejected(&reason);
                }
            }
            ("nick-taken", _) if self.state == SessionState::Greeting => {
                let offer = offer.clone();
                self.handle_nick_taken(offer.map(Cow::into_owned), now);
            }
            ("flood", _) => {
                self.limiter.halve_limit();
                self.show(event);
            }
            _ => {
                let is_greeting = self.state == SessionState::Greeting && label.is_some() && label == self.hello_label;
                if !is_greeting {
                    self.handle_request_error(label, now);
                    return self.show(event);
                }
                let reason = text.clone();
                self.show(event);
                if self.require_nick {
                    return self.end_rejected(&reason);
                }
                self.handle_nick_rejected(now);
            }
        }
    }

    fn handle_nick_taken(&mut self, offer: Option<String>, now: Duration) {
        self.limiter.mark_answered(RequestKind::Hello, now);
        self.hello_label = None;
        if let Some(offer) = offer.filter(|_| self.nick_offers_left > 0) {
            self.nick_offers_left -= 1;
            self.request_nick(offer);
        } else {
            let requested_nick = self.requested_nick.clone().unwrap_or_default();
            self.notify(Notice::NickTaken { requested: requested_nick, assigned: None });
            self.enter_rooms(now);
        }
    }

    /// Makes the user a guest. This counts as no rejected request: the user may not have chosen the
    /// nick.
    fn handle_nick_rejected(&mut self, now: Duration) {
        self.hello_label = None;
        let requested = self.requested_nick.take().unwrap_or_default();
        self.notify(Notice::NickRejected { requested });
        self.enter_rooms(now);
    }

    /// Handles an error in answer to the request with this label.
    fn handle_request_error(&mut self, label: Option<u64>, now: Duration) {
        self.rejected += 1;
        let Some(label) = label else { return };
        self.last_progress_at = now;
        self.unacked.retain(|message| message.label != Some(label));
        self.pending_whispers.retain(|whisper| *whisper != label);
        if self.pending_nick.as_ref().is_some_and(|(pending, _)| *pending == label) {
            self.pending_nick = None;
        }
        let rejected = self.rooms.iter().find(|(_, room)| room.join_label == Some(label)).map(|(name, _)| name.clone());
        if let Some(room) = rejected {
            self.rooms.remove(&room);
        }
    }

    /// Ends the session: a client that the server rejected does not reconnect by itself.
    pub(super) fn end_rejected(&mut self, reason: &str) {
        self.end(Ending::Rejected(reason.to_owned()));
    }
}
