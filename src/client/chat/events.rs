//! Handling of server events.

use std::borrow::Cow;
use std::time::Duration;

use super::action::SessionAction;
use super::error_events::is_final_bye;
use super::notice::Notice;
use super::rate_limiter::RequestKind;
use super::room::{ClientRoom, known_name};
use super::session::ChatSession;
use super::state::{CloseState, PingPurpose, PriorityRequest, SessionState};
use crate::services::chat::wire::{ChatEvent, ChatRequest, RequestLabel};

/// Maximum number of replayed messages that are held until their count is known; above it they are
/// shown without a count. Also the maximum number of messages held before the server has identified
/// itself.
const MAX_REPLAY: usize = 4096;

/// Maximum number of rooms whose messages are put in order. Messages of further rooms are shown as
/// they arrive.
const MAX_ROOMS: usize = 256;

impl ChatSession {
    pub(super) fn apply_event(&mut self, event: ChatEvent<'static>, now: Duration) {
        if !matches!(event, ChatEvent::Bye { .. } | ChatEvent::Error { .. } | ChatEvent::Message { .. }) {
            // The server is alive and answers, so the next failure starts with a short delay.
            self.backoff.reset();
        }
        match &event {
            ChatEvent::Welcome { nick, messages_per_second, burst, server, .. } => {
                let (nick, server) = (nick.clone().into_owned(), server.clone());
                self.limiter.mark_answered(RequestKind::Hello, now);
                self.limiter.set_limit(*messages_per_second, *burst, now);
                self.handle_server_name(server.map(Cow::into_owned));
                self.handle_welcome(nick, event, now);
            }
            ChatEvent::Joined { room, nick } => {
                let (room, nick) = (room.clone(), nick.clone());
                self.handle_joined(&room, &nick, event, now);
            }
            ChatEvent::Left { room, nick } if self.is_own(nick) => {
                self.limiter.mark_answered(RequestKind::Other, now);
                let room = room.clone();
                if self.rooms.contains_key(&*room) {
                    self.show(event);
                }
                self.remove_room(&room);
            }
            ChatEvent::Message { .. } if self.is_reconnecting && self.state == SessionState::Greeting => {
                self.hold_early(event, now);
            }
            ChatEvent::Message { .. } => self.handle_message(event, now),
            ChatEvent::Ack { label, id } => self.handle_ack(label, *id, now),
            ChatEvent::Whisper { from, .. } => {
                if self.is_own(from) {
                    self.pending_whispers.pop_front();
                    self.last_progress_at = now;
                    self.limiter.mark_answered(RequestKind::Other, now);
                }
                self.show(event);
            }
            ChatEvent::Who { room, next, .. } => {
                let more = next.map(|next| ChatRequest::Who { room: room.clone(), next: Some(next) });
                self.handle_page(event, more, now);
            }
            ChatEvent::Rooms { next, .. } => {
                let more = next.map(|next| ChatRequest::Rooms { next: Some(next) });
                self.handle_page(event, more, now);
            }
            ChatEvent::Renamed { was, nick } => {
                let is_requested = self.pending_nick.as_ref().is_some_and(|(_, pending)| pending == nick);
                if is_requested || self.is_own(was) {
                    let nick = nick.clone().into_owned();
                    (self.nick, self.requested_nick, self.pending_nick) = (Some(nick.clone()), Some(nick), None);
                    self.limiter.mark_answered(RequestKind::Other, now);
                }
                self.show(event);
            }
            ChatEvent::Pong => {
                self.limiter.mark_answered(RequestKind::Ping, now);
                self.handle_pong(now);
            }
            ChatEvent::Error { .. } => self.handle_error(event, now),
            ChatEvent::Bye { reason } if is_final_bye(reason) => {
                let reason = reason.clone().into_owned();
                self.show(event);
                self.end_rejected(&reason);
            }
            ChatEvent::Left { .. } | ChatEvent::Bye { .. } => self.show(event),
        }
        self.finish_if_done();
    }

    /// Handles the identity of the server process. Another process has its own message ids, which
    /// start at 1.
    fn handle_server_name(&mut self, server: Option<String>) {
        if server.is_none() || server == self.server {
            return;
        }
        if self.server.is_some() {
            for (name, room) in &mut self.rooms {
                if room.reset_ids() {
                    self.actions.push_back(SessionAction::Notify(Notice::ServerRestarted { room: name.clone() }));
                }
            }
        }
        self.server = server;
    }

    /// Holds a message until the server has identified itself, because its id may belong to another
    /// process. The server does not send it again on this connection, so on overflow the session
    /// must reconnect.
    fn hold_early(&mut self, message: ChatEvent<'static>, now: Duration) {
        if self.early_messages.len() < MAX_REPLAY {
            return self.early_messages.push(message);
        }
        self.actions.push_back(SessionAction::Disconnect);
        self.handle_disconnected("the server sends too many messages before it identifies itself", now);
    }

    fn handle_welcome(&mut self, nick: String, event: ChatEvent<'static>, now: Duration) {
        self.hello_label = None;
        if let Some(requested) = self.requested_nick.clone().filter(|requested| *requested != nick) {
            self.notify(Notice::NickTaken { requested, assigned: Some(nick.clone()) });
        } else if !self.is_reconnecting {
            self.show(event);
        }
        self.nick = Some(nick);
        if self.state == SessionState::Greeting {
            self.enter_rooms(now);
        }
    }

    /// Takes over the server's spelling of a room's name, if the user has typed it in another case.
    fn adopt_room_name(&mut self, name: &str) {
        let known = known_name(&self.rooms, name.to_owned());
        let Some(room) = (known != name).then(|| self.rooms.remove(&known)).flatten() else { return };
        self.rooms.insert(name.to_owned(), room);
        for spelt in self.unacked.iter_mut().map(|message| &mut message.room).chain([&mut self.current]) {
            if *spelt == known {
                name.clone_into(spelt);
            }
        }
    }

    fn handle_joined(&mut self, name: &str, nick: &str, event: ChatEvent<'static>, now: Duration) {
        self.adopt_room_name(name);
        let room = self.rooms.get_mut(name);
        // A client receives joins only of rooms that it is in. So the first join of a requested
        // room is the user's own, and reveals the nick of a guest.
        let is_own = match &self.nick {
            Some(own) => own == nick,
            None => room.as_ref().is_some_and(|room| room.join_label.is_some() && !room.is_joined),
        };
        if !is_own {
            return self.show(event);
        }
        self.nick = Some(nick.to_owned());
        self.limiter.mark_answered(RequestKind::Join, now);
        let is_new = if let Some(room) = room {
            room.join_label = None;
            !std::mem::replace(&mut room.is_joined, true)
        } else {
            if self.rooms.len() < MAX_ROOMS {
                self.rooms.insert(name.to_owned(), ClientRoom::joined());
            }
            true
        };
        if is_new {
            self.show(event);
        }
    }

    pub(super) fn handle_message(&mut self, event: ChatEvent<'static>, now: Duration) {
        let ChatEvent::Message { room: name, id, .. } = &event else { return };
        let (name, id) = (name.clone().into_owned(), *id);
        let Some(room) = self.rooms.get_mut(&name) else {
            return self.show(event);
        };
        let mut shown = Vec::new();
        let missing = room.receive(id, event, now, &mut shown);
        self.show_in_order(&name, shown, missing);
    }

    /// Shows messages of one room, after a notice that `missing` messages before them are lost.
    pub(super) fn show_in_order(&mut self, room: &str, shown: Vec<ChatEvent<'static>>, missing: u64) {
        if missing > 0 {
            self.notify(Notice::Missing { room: room.to_owned(), count: missing });
        }
        for message in shown {
            self.match_unacked(&message);
            if self.state == SessionState::CatchingUp {
                self.replay.push(message);
                if self.replay.len() > MAX_REPLAY {
                    self.finish_catch_up(None);
                }
            } else {
                self.show(message);
            }
        }
    }

    /// Removes the user's own message from the unacknowledged ones, if `message` is that one: its
    /// acknowledgement is late or lost.
    fn match_unacked(&mut self, message: &ChatEvent<'static>) {
        let ChatEvent::Message { room, id, from, text, action, .. } = message else { return };
        let Some(known) = self.rooms.get_mut(&**room) else { return };
        if *id <= known.last_acked_id {
            return;
        }
        let own = self.unacked.iter().position(|message| {
            message.room == **room
                && message.text == **text
                && message.is_action == *action
                && message.nick.as_deref() == Some(from)
        });
        if let Some(position) = own {
            known.last_acked_id = *id;
            self.unacked.remove(position);
        }
    }

    fn handle_ack(&mut self, label: &RequestLabel, id: u64, now: Duration) {
        let Some(label) = label.as_u64() else { return };
        self.limiter.mark_arrived(label, now);
        let position = self.unacked.iter().position(|message| message.label == Some(label));
        if let Some(message) = position.and_then(|position| self.unacked.remove(position)) {
            self.last_progress_at = now;
            if let Some(room) = self.rooms.get_mut(&message.room) {
                room.last_acked_id = room.last_acked_id.max(id);
            }
        }
    }

    fn handle_page(&mut self, event: ChatEvent<'static>, more: Option<ChatRequest<'static>>, now: Duration) {
        self.limiter.mark_answered(RequestKind::Other, now);
        self.show(event);
        if let Some(more) = more.filter(|_| self.list_pages_left > 0) {
            self.list_pages_left -= 1;
            self.priority_queue.push_back(PriorityRequest::ChatRequest(more));
        }
    }

    fn handle_pong(&mut self, now: Duration) {
        match self.pending_pings.pop_front() {
            Some(PingPurpose::Greeting) => {
                if self.state == SessionState::Greeting {
                    self.enter_rooms(now);
                }
            }
            Some(PingPurpose::CatchUp) => {
                // The pong follows the replay, so the ids that are still missing will not
                // arrive.
                self.skip_gaps(|_| true, now);
                if self.state == SessionState::CatchingUp {
                    self.finish_catch_up(Some(self.replay.len()));
                }
                let count = self.unacked.len();
                if count > 0 {
                    self.notify(Notice::Resending { count });
                }
            }
            Some(PingPurpose::Finish) => {
                self.last_progress_at = now;
                self.close_state = CloseState::Confirmed;
            }
            Some(PingPurpose::Keepalive) | None => {}
        }
    }

    fn finish_if_done(&mut self) {
        if self.state != SessionState::Ended
            && self.close_state == CloseState::Confirmed
            && self.unacked.is_empty()
            && self.queue.is_empty()
        {
            self.finish();
        }
    }

    /// Skips the gaps in the rooms for which `is_over` returns true.
    pub(super) fn skip_gaps(&mut self, is_over: impl Fn(&ClientRoom) -> bool, now: Duration) {
        let names: Vec<_> = self.rooms.iter().filter(|(_, room)| is_over(room)).map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut shown = Vec::new();
            let missing = self.rooms.get_mut(&name).map_or(0, |room| room.skip_gap(now, &mut shown));
            self.show_in_order(&name, shown, missing);
        }
    }

    /// Ends the replay, either at its last message or when it is too long to count.
    fn finish_catch_up(&mut self, missed: Option<usize>) {
        self.notify(Notice::Reconnected { missed });
        self.state = SessionState::Ready;
        self.flush_replay();
    }

    pub(super) fn flush_replay(&mut self) {
        let replay = std::mem::take(&mut self.replay);
        self.actions.extend(replay.into_iter().map(SessionAction::Show));
    }

    fn is_own(&self, nick: &str) -> bool {
        self.nick.as_deref() == Some(nick)
    }

    pub(super) fn show(&mut self, event: ChatEvent<'static>) {
        self.actions.push_back(SessionAction::Show(event));
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.actions.push_back(SessionAction::Notify(notice));
    }
}
