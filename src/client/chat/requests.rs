//! The outgoing requests: their order, and the rate limit.

use std::time::Duration;

use super::action::SessionAction;
use super::command::{ChatCommand, split_text};
use super::notice::Notice;
use super::rate_limiter::RequestKind;
use super::room::{is_same_room, known_name};
use super::session::ChatSession;
use super::state::{CloseState, PingPurpose, PriorityRequest, SessionState, Unacked};
use crate::services::chat::wire::{ChatRequest, LOBBY, LabelledRequest, action_text};

/// Maximum number of messages without an acknowledgement.
const MAX_UNACKED: usize = 64;

/// Maximum number of further pages of one list. A faulty server may announce pages without end.
const MAX_LIST_PAGES: u32 = 100;

impl ChatSession {
    /// Requests a nick, before all other requests.
    pub(super) fn request_nick(&mut self, nick: String) {
        self.priority_queue.push_front(PriorityRequest::ChatRequest(ChatRequest::Hello { nick: nick.into() }));
    }

    /// Joins the rooms of the user. After a reconnect, it also requests the messages that the user
    /// missed.
    pub(super) fn enter_rooms(&mut self, now: Duration) {
        if !self.rooms.contains_key(LOBBY) {
            self.priority_queue.push_back(PriorityRequest::ChatRequest(ChatRequest::Leave { room: LOBBY.into() }));
        }
        for (name, room) in &self.rooms {
            let since = room.replay_after().filter(|_| self.is_reconnecting);
            if since.is_some() || name != LOBBY {
                self.priority_queue
                    .push_back(PriorityRequest::ChatRequest(ChatRequest::Join { room: name.clone().into(), since }));
            }
        }
        if self.is_reconnecting {
            self.priority_queue.push_back(PriorityRequest::Ping(PingPurpose::CatchUp));
            self.state = SessionState::CatchingUp;
        } else {
            self.state = SessionState::Ready;
        }
        for message in std::mem::take(&mut self.early_messages) {
            self.handle_message(message, now);
        }
    }

    pub(super) fn apply_command(&mut self, command: ChatCommand, now: Duration) {
        match command {
            ChatCommand::Say(text) => self.queue_message(&text, false),
            ChatCommand::Act(text) => self.queue_message(&text, true),
            ChatCommand::Whisper { to, text } => {
                let whispers = split_text(&text)
                    .map(|part| ChatRequest::Whisper { to: to.clone().into(), text: part.to_owned().into() });
                self.queue.extend(whispers);
            }
            ChatCommand::Join(room) => {
                let room = known_name(&self.rooms, room);
                if !self.is_member(&room) {
                    self.queue.push_back(ChatRequest::Join { room: room.clone().into(), since: None });
                    // The entry may exist: a room that the user is leaving.
                    self.rooms.entry(room.clone()).or_default().is_leaving = false;
                }
                self.current = room;
            }
            ChatCommand::Switch(room) => {
                let room = known_name(&self.rooms, room);
                if self.is_member(&room) {
                    self.current = room;
                } else {
                    self.reply_to_command(format!("you are not in {room}: /join {room} joins it"));
                }
            }
            ChatCommand::Leave(room) => {
                let room = room.map_or_else(|| self.current.clone(), |room| known_name(&self.rooms, room));
                if self.is_member(&room) {
                    if let Some(left) = self.rooms.get_mut(&room) {
                        left.is_leaving = true;
                    }
                    self.switch_away_from(&room);
                    self.queue.push_back(ChatRequest::Leave { room: room.into() });
                } else {
                    self.reply_to_command(format!("you are not in {room}"));
                }
            }
            ChatCommand::Nick(nick) => self.queue.push_back(ChatRequest::Nick { nick: nick.into() }),
            ChatCommand::Who(room) => {
                self.list_pages_left = MAX_LIST_PAGES;
                let room = room.unwrap_or_else(|| self.current.clone());
                self.queue.push_back(ChatRequest::Who { room: room.into(), next: None });
            }
            ChatCommand::Rooms => {
                self.list_pages_left = MAX_LIST_PAGES;
                self.queue.push_back(ChatRequest::Rooms { next: None });
            }
            ChatCommand::Me => {
                let nick = self.nick.as_deref().unwrap_or("a guest");
                let rooms: Vec<_> = self.rooms().collect();
                self.reply_to_command(format!(
                    "you are {nick}, in {}; your messages go to {}",
                    rooms.join(", "),
                    self.current
                ));
            }
            ChatCommand::Finish => {
                self.close_state = CloseState::Requested;
                self.last_progress_at = now;
            }
        }
    }

    pub(super) fn reply_to_command(&mut self, text: String) {
        self.actions.push_back(SessionAction::Notify(Notice::CommandReply(text)));
    }

    /// Queues a message or an action to the current room. It is rejected if the user has left,
    /// because it must not reach another room.
    fn queue_message(&mut self, text: &str, is_action: bool) {
        let room = self.current.clone();
        if !self.is_member(&room) {
            self.rejected += 1;
            return self.reply_to_command(format!("not sent: you are not in {room}; /join ROOM joins a room"));
        }
        self.queue.extend(split_text(text).map(|part| say(&room, part, is_action)));
    }

    /// Makes another room the current one, if `room` is the current one.
    fn switch_away_from(&mut self, room: &str) {
        if self.current == room {
            let others: Vec<_> = self.rooms().filter(|other| *other != room).collect();
            let next = others.iter().find(|other| **other == LOBBY).or(others.first());
            self.current = next.map_or(LOBBY, |next| *next).to_owned();
        }
    }

    /// Returns true if the user is in a room, or will be after the queued requests.
    fn is_member(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| !room.is_leaving)
    }

    /// Removes a room after the server confirmed the leave, unless a new join is queued.
    pub(super) fn remove_room(&mut self, name: &str) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let is_join =
            |request: &ChatRequest<'_>| matches!(request, ChatRequest::Join { room, .. } if is_same_room(room, name));
        if room.join_label.is_some() || self.queue.iter().any(is_join) {
            room.reset_membership();
        } else {
            self.rooms.remove(name);
        }
    }

    /// Handles rooms whose leave was interrupted by the loss of the connection: a new connection
    /// does not join them. A room with unacknowledged messages is joined again, to resend them, and
    /// left afterwards.
    pub(super) fn leave_interrupted_rooms(&mut self) {
        let Self { rooms, queue, unacked, .. } = self;
        rooms.retain(|name, room| {
            let is_leave =
                |request: &ChatRequest<'_>| matches!(request, ChatRequest::Leave { room } if is_same_room(room, name));
            if !room.is_leaving || queue.iter().any(is_leave) {
                return true;
            }
            let has_unacked = unacked.iter().any(|message| message.room == *name);
            if has_unacked {
                queue.push_front(ChatRequest::Leave { room: name.clone().into() });
            }
            has_unacked
        });
    }

    pub(super) fn has_something_to_send(&self) -> bool {
        let is_ready = self.state == SessionState::Ready;
        let must_resend = self.unacked.iter().any(|message| message.label.is_none());
        !self.priority_queue.is_empty()
            || is_ready && (must_resend || !self.queue.is_empty() || self.can_send_final_ping())
    }

    /// Sends queued requests while the rate limit allows.
    pub(super) fn pump(&mut self, now: Duration) {
        while matches!(self.state, SessionState::Greeting | SessionState::CatchingUp | SessionState::Ready)
            && self.has_something_to_send()
            && self.limiter.can_send(now)
        {
            if let Some(request) = self.priority_queue.pop_front() {
                self.send_priority(request, now);
            } else if let Some(position) = self.unacked.iter().position(|message| message.label.is_none()) {
                self.resend(position, now);
            } else if let Some(request) = self.next_queued() {
                self.send_request(request, now);
            } else if self.can_send_final_ping() {
                self.send_priority(PriorityRequest::Ping(PingPurpose::Finish), now);
            } else {
                break;
            }
        }
    }

    fn next_queued(&mut self) -> Option<ChatRequest<'static>> {
        let must_wait =
            matches!(self.queue.front(), Some(ChatRequest::Say { .. })) && self.unacked.len() >= MAX_UNACKED;
        if must_wait { None } else { self.queue.pop_front() }
    }

    fn can_send_final_ping(&self) -> bool {
        self.close_state == CloseState::Requested
            && self.queue.is_empty()
            && !self.pending_pings.contains(&PingPurpose::Finish)
    }

    fn send_priority(&mut self, request: PriorityRequest, now: Duration) {
        match request {
            PriorityRequest::ChatRequest(request) => self.send_request(request, now),
            PriorityRequest::Ping(purpose) => {
                self.pending_pings.push_back(purpose);
                self.send(ChatRequest::Ping, RequestKind::Ping, now);
            }
        }
    }

    fn send_request(&mut self, request: ChatRequest<'static>, now: Duration) {
        // A reconnect is not progress: otherwise the finish timeout would never expire for a
        // server that rejects every connection.
        if self.state == SessionState::Ready {
            self.last_progress_at = now;
        }
        match &request {
            ChatRequest::Hello { .. } => self.hello_label = Some(self.send(request, RequestKind::Hello, now)),
            ChatRequest::Nick { nick } => {
                let nick = nick.clone().into_owned();
                self.pending_nick = Some((self.send(request, RequestKind::Other, now), nick));
            }
            ChatRequest::Whisper { .. } => {
                let label = self.send(request, RequestKind::Other, now);
                self.pending_whispers.push_back(label);
                // Some servers do not echo whispers, so only the last MAX_UNACKED labels are
                // kept.
                if self.pending_whispers.len() > MAX_UNACKED {
                    self.pending_whispers.pop_front();
                }
            }
            ChatRequest::Join { room, .. } => {
                let room = room.clone().into_owned();
                let label = self.send(request, RequestKind::Join, now);
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.join_label = Some(label);
                }
            }
            ChatRequest::Say { room, text, action } => {
                let (room, text) = (room.clone().into_owned(), text.clone().into_owned());
                let is_action = *action == Some(true);
                let label = Some(self.send(request, RequestKind::Say, now));
                self.unacked.push_back(Unacked { room, text, is_action, nick: self.nick.clone(), label });
            }
            _ => {
                self.send(request, RequestKind::Other, now);
            }
        }
    }

    fn resend(&mut self, position: usize, now: Duration) {
        let Some(message) = self.unacked.get(position) else { return };
        let request = say(&message.room, &message.text, message.is_action);
        let label = self.send(request, RequestKind::Say, now);
        let nick = self.nick.clone();
        if let Some(message) = self.unacked.get_mut(position) {
            (message.label, message.nick) = (Some(label), nick);
        }
    }

    fn send(&mut self, request: ChatRequest<'static>, kind: RequestKind, now: Duration) -> u64 {
        let label = self.next_label();
        self.limiter.record_sent(label, kind, now);
        self.actions.push_back(SessionAction::Send(LabelledRequest { request, label: Some(label.into()) }));
        label
    }
}

/// Returns the request for a message or an action. It states which of the two a text is that could
/// be both.
fn say(room: &str, text: &str, is_action: bool) -> ChatRequest<'static> {
    let action = (is_action || action_text(text).is_some()).then_some(is_action);
    ChatRequest::Say { room: room.to_owned().into(), text: text.to_owned().into(), action }
}
