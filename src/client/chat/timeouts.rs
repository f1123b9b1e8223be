//! The deadlines of a session: reconnect, greeting, keepalive, gaps, rate limit and finish.

use std::time::Duration;

use super::action::SessionAction;
use super::notice::Ending;
use super::room::ClientRoom;
use super::session::ChatSession;
use super::state::{CloseState, PeerIdentity, PingPurpose, PriorityRequest, SessionState};

/// Silence of the server after which the session sends a ping.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Silence of the server after which the session closes the connection.
const SERVER_TIMEOUT: Duration = Duration::from_secs(60);

/// Time without progress after which a session that the user has closed ends, even with requests
/// left.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);

impl ChatSession {
    /// Returns the time of the next [`handle_timeout`](Self::handle_timeout), if no event arrives
    /// before it. `None` if no deadline is set; times count from the caller's start.
    pub fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let finish_at = (self.close_state != CloseState::Open).then(|| self.last_progress_at + FINISH_TIMEOUT);
        let connection = match self.state {
            SessionState::Ended => return None,
            SessionState::Disconnected => None,
            SessionState::BackingOff(until) => Some(until),
            SessionState::Greeting | SessionState::CatchingUp | SessionState::Ready => {
                let keepalive_at = self.last_received_at
                    + if self.is_keepalive_pending() { SERVER_TIMEOUT } else { KEEPALIVE_INTERVAL };
                let send_at = self.has_something_to_send().then(|| self.limiter.next_send_at(now));
                // During a replay no gap times out, because the replay may still fill it.
                let gap_at = self
                    .rooms
                    .values()
                    .filter(|_| self.state == SessionState::Ready)
                    .filter_map(ClientRoom::gap_deadline)
                    .min();
                let greeting_at = (self.state == SessionState::Greeting)
                    .then(|| self.connected_at.saturating_add(self.greeting_timeout));
                [Some(keepalive_at), send_at, gap_at, greeting_at].into_iter().flatten().min()
            }
        };
        connection.into_iter().chain(finish_at).min()
    }

    /// Handles all deadlines up to `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.close_state != CloseState::Open
            && self.state != SessionState::Ended
            && now >= self.last_progress_at + FINISH_TIMEOUT
        {
            return self.finish();
        }
        match self.state {
            SessionState::Ended | SessionState::Disconnected => {}
            SessionState::BackingOff(until) => {
                if now >= until {
                    self.state = SessionState::Disconnected;
                    self.actions.push_back(SessionAction::Connect);
                }
            }
            SessionState::Greeting | SessionState::CatchingUp | SessionState::Ready => {
                if self.state == SessionState::Greeting
                    && now >= self.connected_at.saturating_add(self.greeting_timeout)
                {
                    return self.abort_greeting(now);
                }
                if now >= self.last_received_at + SERVER_TIMEOUT {
                    self.actions.push_back(SessionAction::Disconnect);
                    let reason = format!("no data from the server for {} s", SERVER_TIMEOUT.as_secs());
                    return self.handle_disconnected(&reason, now);
                }
                if now >= self.last_received_at + KEEPALIVE_INTERVAL && !self.is_keepalive_pending() {
                    self.priority_queue.push_front(PriorityRequest::Ping(PingPurpose::Keepalive));
                }
                if self.state == SessionState::Ready {
                    self.skip_gaps(|room| room.gap_deadline().is_some_and(|deadline| now >= deadline), now);
                }
                self.pump(now);
            }
        }
    }

    /// Returns true if a keepalive ping is sent or queued.
    fn is_keepalive_pending(&self) -> bool {
        self.pending_pings.contains(&PingPurpose::Keepalive)
            || self.priority_queue.iter().any(|it| matches!(it, PriorityRequest::Ping(PingPurpose::Keepalive)))
    }

    /// Drops a connection on which the greeting has no answer. A peer that has never sent a chat
    /// event is probably not a chat server, so the session ends. Otherwise it reconnects.
    fn abort_greeting(&mut self, now: Duration) {
        let reason = format!("no answer to the greeting for {:?}", self.greeting_timeout);
        self.actions.push_back(SessionAction::Disconnect);
        if self.peer != PeerIdentity::ChatServer {
            return self.end(Ending::NotChatServer(reason));
        }
        self.handle_disconnected(&reason, now);
    }

    /// Returns true if a peer that has just closed a connection is probably not a chat server: it
    /// has never sent a chat event, and the next connection is due after the greeting timeout.
    pub(super) fn is_never_answered(&self, next_connect_at: Duration) -> bool {
        let PeerIdentity::Unknown { first_connected_at } = self.peer else { return false };
        next_connect_at >= first_connected_at.saturating_add(self.greeting_timeout)
    }
}
