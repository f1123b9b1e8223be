//! The session of one user, across reconnects.
//!
//! `events` handles what the server sends, `requests` sends what the user asks for, and `timeouts`
//! handles the deadlines.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::action::SessionAction;
use super::backoff::Backoff;
use super::command::ChatCommand;
use super::notice::{Ending, Notice};
use super::options::SessionOptions;
use super::rate_limiter::RateLimiter;
use super::room::{ClientRoom, known_name};
use super::state::{CloseState, PeerIdentity, PingPurpose, PriorityRequest, SessionState, Unacked};
use crate::services::chat::wire::{ChatEvent, ChatRequest, LOBBY};

/// Maximum number of queued requests. Above it, a program stops reading its user's input.
const MAX_QUEUED: usize = 64;

/// Maximum number of offered nicks that are tried instead of one in use. A faulty server may offer
/// nicks without end.
const MAX_NICK_OFFERS: u32 = 5;

/// The sans-IO session of one user. Times are durations since any fixed instant.
///
/// After each `handle_*` call, take actions with [`next_action`](Self::next_action) until it
/// returns `None`, and call [`handle_timeout`](Self::handle_timeout) at the time that
/// [`next_timeout`](Self::next_timeout) returns.
#[derive(Debug)]
pub struct ChatSession {
    pub(super) state: SessionState,
    pub(super) single_connection: bool,
    /// True if the session ends when the server rejects the nick as invalid.
    pub(super) require_nick: bool,
    pub(super) greeting_timeout: Duration,
    pub(super) peer: PeerIdentity,
    /// Time at which the current connection was established.
    pub(super) connected_at: Duration,
    /// True after the first connection: the next one is a reconnect.
    pub(super) is_reconnecting: bool,
    /// The nick that the user wants.
    pub(super) requested_nick: Option<String>,
    /// The nick that the user has; `None`: a guest without a known nick.
    pub(super) nick: Option<String>,
    /// The rooms of the user. A name that the user types in another case is that of the key; the
    /// server's spelling replaces the key, see `adopt_room_name`.
    pub(super) rooms: BTreeMap<String, ClientRoom>,
    /// The room to which the user's messages go.
    pub(super) current: String,
    /// Label of the `hello` request without an answer.
    pub(super) hello_label: Option<u64>,
    /// Number of offered nicks that the session may still try.
    pub(super) nick_offers_left: u32,
    /// The nick request without an answer: its label and the nick.
    pub(super) pending_nick: Option<(u64, String)>,
    /// Requests of the session itself, sent before the `queue`.
    pub(super) priority_queue: VecDeque<PriorityRequest>,
    /// Requests of the user.
    pub(super) queue: VecDeque<ChatRequest<'static>>,
    /// Messages without an acknowledgement, in the order of sending.
    pub(super) unacked: VecDeque<Unacked>,
    /// Labels of private messages that the server has not echoed.
    pub(super) pending_whispers: VecDeque<u64>,
    /// Purposes of the pings without a pong, in the order of sending.
    pub(super) pending_pings: VecDeque<PingPurpose>,
    pub(super) limiter: RateLimiter,
    pub(super) backoff: Backoff,
    /// Label of the last request.
    pub(super) last_label: u64,
    /// Number of further pages of a list that the session may request.
    pub(super) list_pages_left: u32,
    /// Identity of the server process, if the server sent one.
    pub(super) server: Option<String>,
    /// Messages received before the server identified itself.
    pub(super) early_messages: Vec<ChatEvent<'static>>,
    /// Messages of the replay, held until their number is known.
    pub(super) replay: Vec<ChatEvent<'static>>,
    /// Time of the last event from the server.
    pub(super) last_received_at: Duration,
    pub(super) close_state: CloseState,
    /// Time of the last progress of a request.
    pub(super) last_progress_at: Duration,
    /// Number of requests that the server or the session rejected.
    pub(super) rejected: u64,
    /// Number of private messages that may not have arrived.
    pub(super) unconfirmed_whispers: usize,
    pub(super) actions: VecDeque<SessionAction>,
}

impl ChatSession {
    /// Creates a session. The program opens the first connection itself.
    pub fn new(options: SessionOptions) -> Self {
        let current = options.rooms.last().map_or_else(|| LOBBY.to_owned(), Clone::clone);
        let mut rooms = BTreeMap::from([(LOBBY.to_owned(), ClientRoom::joined())]);
        for name in options.rooms {
            rooms.entry(known_name(&rooms, name)).or_default();
        }
        let current = known_name(&rooms, current);
        Self {
            state: SessionState::Disconnected,
            single_connection: options.single_connection,
            require_nick: options.require_nick,
            greeting_timeout: options.greeting_timeout,
            peer: PeerIdentity::NotConnected,
            connected_at: Duration::ZERO,
            is_reconnecting: false,
            requested_nick: options.nick,
            nick: None,
            rooms,
            current,
            hello_label: None,
            nick_offers_left: 0,
            pending_nick: None,
            priority_queue: VecDeque::new(),
            queue: VecDeque::new(),
            unacked: VecDeque::new(),
            pending_whispers: VecDeque::new(),
            pending_pings: VecDeque::new(),
            limiter: RateLimiter::new(),
            backoff: Backoff::new(options.seed),
            last_label: 0,
            list_pages_left: 0,
            server: None,
            early_messages: Vec::new(),
            replay: Vec::new(),
            last_received_at: Duration::ZERO,
            close_state: CloseState::Open,
            last_progress_at: Duration::ZERO,
            rejected: 0,
            unconfirmed_whispers: 0,
            actions: VecDeque::new(),
        }
    }

    /// Returns the nick of the user; `None`: a guest whose nick the server has not sent.
    pub fn nick(&self) -> Option<&str> {
        self.nick.as_deref()
    }

    /// Returns the room to which the user's messages go.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Returns the rooms that the user is in or is joining.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().filter(|(_, room)| !room.is_leaving).map(|(name, _)| name.as_str())
    }

    /// Returns true if the next answer may change the nick or the room. A prompt should wait for
    /// it.
    pub fn is_identity_pending(&self) -> bool {
        let unsent =
            self.queue.iter().any(|request| matches!(request, ChatRequest::Join { .. } | ChatRequest::Nick { .. }));
        let unanswered = self.pending_nick.is_some() || self.rooms.values().any(|room| room.join_label.is_some());
        self.state == SessionState::Greeting
            || self.state == SessionState::Ready && (unsent || unanswered || !self.priority_queue.is_empty())
    }

    /// Returns true if the queue accepts more commands. A command above the limit is queued all the
    /// same, so the program must check this.
    pub fn can_accept_command(&self) -> bool {
        self.queue.len() < MAX_QUEUED
    }

    /// Returns true if the server has acknowledged all messages of the user.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.unacked.is_empty() && self.pending_whispers.is_empty()
    }

    /// Returns the ending that the session would have now.
    pub fn current_ending(&self) -> Ending {
        let is_message =
            |request: &&ChatRequest<'_>| matches!(request, ChatRequest::Say { .. } | ChatRequest::Whisper { .. });
        let unsent = self.queue.iter().filter(is_message).count();
        // Some servers do not echo whispers. All servers answer in order, so the last pong
        // confirms them.
        let whispers = if self.close_state == CloseState::Confirmed { 0 } else { self.pending_whispers.len() };
        Ending::Finished {
            rejected: self.rejected,
            unconfirmed: self.unacked.len() + unsent + whispers + self.unconfirmed_whispers,
        }
    }

    /// Returns the next action for the program.
    pub fn next_action(&mut self) -> Option<SessionAction> {
        self.actions.pop_front()
    }

    /// Handles a new connection.
    pub fn handle_connected(&mut self, now: Duration) {
        if self.state == SessionState::Ended {
            return;
        }
        self.limiter.start_connection(now);
        self.connected_at = now;
        if self.peer == PeerIdentity::NotConnected {
            self.peer = PeerIdentity::Unknown { first_connected_at: now };
        }
        self.last_received_at = now;
        if self.close_state == CloseState::Open {
            self.last_progress_at = now;
        }
        self.replay.clear();
        self.state = SessionState::Greeting;
        match self.requested_nick.clone() {
            Some(nick) => {
                self.nick_offers_left = MAX_NICK_OFFERS;
                self.request_nick(nick);
            }
            None => self.priority_queue.push_front(PriorityRequest::Ping(PingPurpose::Greeting)),
        }
        self.pump(now);
    }

    /// Handles the loss of the connection, or a failed attempt to connect.
    pub fn handle_disconnected(&mut self, reason: &str, now: Duration) {
        if matches!(self.state, SessionState::BackingOff(_) | SessionState::Ended) {
            return;
        }
        let was_connected = self.state != SessionState::Disconnected;
        // The held part of the replay is in order, and the next replay starts after it.
        self.flush_replay();
        self.forget_connection();
        if self.single_connection {
            return self.end(Ending::Disconnected(reason.to_owned()));
        }
        let retry_in = self.backoff.next_delay();
        if was_connected && self.is_never_answered(now + retry_in) {
            let reason = format!("{reason}, and the server has never answered");
            return self.end(Ending::NotChatServer(reason));
        }
        self.state = SessionState::BackingOff(now + retry_in);
        self.actions.push_back(SessionAction::Notify(Notice::Disconnected { reason: reason.to_owned(), retry_in }));
    }

    /// Handles an event from the server.
    pub fn handle_event(&mut self, event: ChatEvent<'static>, now: Duration) {
        if matches!(self.state, SessionState::Disconnected | SessionState::BackingOff(_) | SessionState::Ended) {
            return;
        }
        self.last_received_at = now;
        self.peer = PeerIdentity::ChatServer;
        self.apply_event(event, now);
        self.pump(now);
    }

    /// Handles a command of the user.
    pub fn handle_command(&mut self, command: ChatCommand, now: Duration) {
        if self.state == SessionState::Ended {
            return;
        }
        self.apply_command(command, now);
        self.pump(now);
    }

    /// Ends the session with the [`current_ending`](Self::current_ending).
    pub(super) fn finish(&mut self) {
        self.end(self.current_ending());
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.state = SessionState::Ended;
        self.actions.extend([SessionAction::Disconnect, SessionAction::End(ending)]);
    }

    fn forget_connection(&mut self) {
        self.is_reconnecting |= self.state != SessionState::Disconnected;
        self.state = SessionState::Disconnected;
        (self.hello_label, self.pending_nick, self.list_pages_left) = (None, None, 0);
        if self.close_state == CloseState::Confirmed {
            self.close_state = CloseState::Requested;
        }
        self.priority_queue.clear();
        self.pending_pings.clear();
        // These messages were not shown, so the next replay contains them.
        self.early_messages.clear();
        let whispers = std::mem::take(&mut self.pending_whispers).len();
        if whispers > 0 {
            self.unconfirmed_whispers += whispers;
            self.actions.push_back(SessionAction::Notify(Notice::Unconfirmed { count: whispers }));
        }
        for message in &mut self.unacked {
            message.label = None;
        }
        for (name, room) in &mut self.rooms {
            // A message sent to a room implies a join, even if its answer was lost.
            if room.is_joined || self.unacked.iter().any(|message| message.room == *name) {
                room.mark_disconnected();
            }
            room.join_label = None;
        }
        self.leave_interrupted_rooms();
    }

    pub(super) fn next_label(&mut self) -> u64 {
        self.last_label += 1;
        self.last_label
    }
}
