//! The state of one user's chat, over as many connections as it takes, and its clock.
//!
//! What is heard from the server is dealt with in `events`, what is said to it in `requests`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::backoff::Backoff;
use super::notice::{Ending, Notice};
use super::options::{Action, Wishes};
use super::rate_limiter::Pace;
use super::room::Room;
use super::state::{Farewell, Link, Ping, Said, Urgent};
use super::{Command, LOBBY};
use crate::services::chat::wire::{Event, Request};

/// A server that has been silent for this long is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(30);

/// A server that has been silent for this long is gone.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// How long the end is put off while nothing comes of what is still to be said.
const FINISH_PATIENCE: Duration = Duration::from_secs(30);

/// A server that has not answered the greeting for this long is no chat server.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// Requests that wait for their turn. Past it a program stops reading its user's input.
const MAX_QUEUED: usize = 64;

/// Nicks offered instead of a taken one that are tried. A server that always has another offer is not followed for ever.
const MAX_OFFERS: u32 = 5;

/// One user's chat. Times are counted from any one moment; no method blocks.
///
/// After each `handle_*`, take the actions with [`next_action`](Self::next_action) until there are none, and see to it that
/// [`handle_timeout`](Self::handle_timeout) is called at [`next_timeout`](Self::next_timeout).
#[derive(Debug)]
pub struct Session {
    pub(super) link: Link,
    pub(super) once: bool,
    /// Whether nothing is to be said under another nick.
    pub(super) insists: bool,
    /// When this connection began.
    connected_at: Duration,
    /// Whether there was a connection before this one.
    pub(super) returning: bool,
    /// What the user wants to be called.
    pub(super) wished: Option<String>,
    /// What the user is called, as far as is known.
    pub(super) nick: Option<String>,
    pub(super) rooms: BTreeMap<String, Room>,
    pub(super) current: String,
    /// The label of the greeting that has no answer yet.
    pub(super) greeting: Option<u64>,
    /// Nicks that the server may still offer instead.
    pub(super) offers: u32,
    /// The request for another nick that has no answer yet: its label, and the nick.
    pub(super) renaming: Option<(u64, String)>,
    pub(super) urgent: VecDeque<Urgent>,
    pub(super) queue: VecDeque<Request<'static>>,
    pub(super) unacked: VecDeque<Said>,
    /// Labels of what was said to one person and has not come back yet.
    pub(super) whispers: VecDeque<u64>,
    pub(super) pings: VecDeque<Ping>,
    pub(super) pace: Pace,
    pub(super) backoff: Backoff,
    pub(super) label: u64,
    /// Further pages of a list that may be asked for.
    pub(super) pages: u32,
    /// What the server last called itself.
    pub(super) server: Option<String>,
    /// Messages that came before it was known whether this is still the same server.
    pub(super) early: Vec<Event<'static>>,
    /// Messages of the replay, until it is known how many they are.
    pub(super) replay: Vec<Event<'static>>,
    heard_at: Duration,
    pub(super) farewell: Farewell,
    /// When something last came of what was asked.
    pub(super) progress_at: Duration,
    pub(super) refused: u64,
    /// Messages to one person of which it is not known whether they arrived.
    pub(super) unsure: usize,
    pub(super) actions: VecDeque<Action>,
}

impl Session {
    /// A session before its first connection, which the program opens by itself.
    pub fn new(wishes: Wishes) -> Self {
        let current = wishes.rooms.last().map_or_else(|| LOBBY.to_owned(), Clone::clone);
        let mut rooms: BTreeMap<_, _> = wishes.rooms.into_iter().map(|name| (name, Room::default())).collect();
        rooms.insert(LOBBY.to_owned(), Room::entered());
        Self {
            link: Link::Down,
            once: wishes.once,
            insists: wishes.insists,
            connected_at: Duration::ZERO,
            returning: false,
            wished: wishes.nick,
            nick: None,
            rooms,
            current,
            greeting: None,
            offers: 0,
            renaming: None,
            urgent: VecDeque::new(),
            queue: VecDeque::new(),
            unacked: VecDeque::new(),
            whispers: VecDeque::new(),
            pings: VecDeque::new(),
            pace: Pace::new(),
            backoff: Backoff::new(wishes.seed),
            label: 0,
            pages: 0,
            server: None,
            early: Vec::new(),
            replay: Vec::new(),
            heard_at: Duration::ZERO,
            farewell: Farewell::Open,
            progress_at: Duration::ZERO,
            refused: 0,
            unsure: 0,
            actions: VecDeque::new(),
        }
    }

    /// What the user is called; none: a guest whose number the server has not told.
    pub fn nick(&self) -> Option<&str> {
        self.nick.as_deref()
    }

    /// The room in which the user speaks.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// The rooms that the user is in, or is about to enter.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().filter(|(_, room)| !room.leaving).map(|(name, _)| name.as_str())
    }

    /// Whether nick or room may change with the next answer: a prompt that shows them should wait for it.
    pub fn is_settling(&self) -> bool {
        let unsent = self.queue.iter().any(|request| matches!(request, Request::Join { .. } | Request::Nick { .. }));
        let unanswered = self.renaming.is_some() || self.rooms.values().any(|room| room.asked.is_some());
        self.link == Link::Greeting || self.link == Link::Ready && (unsent || unanswered || !self.urgent.is_empty())
    }

    /// Whether it takes more commands. One that is given all the same is taken, too; the program bounds how many it reads.
    pub fn has_room(&self) -> bool {
        self.queue.len() < MAX_QUEUED
    }

    /// Whether all that the user said is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.unacked.is_empty() && self.whispers.is_empty()
    }

    /// The ending, if it were now.
    pub fn so_far(&self) -> Ending {
        let is_said = |request: &&Request<'_>| matches!(request, Request::Say { .. } | Request::Whisper { .. });
        let unsent = self.queue.iter().filter(is_said).count();
        // Not every server sends them back, but it answers in order.
        let whispers = if self.farewell == Farewell::Answered { 0 } else { self.whispers.len() };
        Ending::Finished { refused: self.refused, lost: self.unacked.len() + unsent + whispers + self.unsure }
    }

    /// What to do next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// A connection is there.
    pub fn handle_connected(&mut self, now: Duration) {
        if self.link == Link::Over {
            return;
        }
        self.pace.begin(now);
        self.connected_at = now;
        self.heard_at = now;
        if self.farewell == Farewell::Open {
            self.progress_at = now;
        }
        self.replay.clear();
        match self.wished.clone() {
            Some(nick) => {
                self.link = Link::Greeting;
                self.offers = MAX_OFFERS;
                self.greet(nick);
            }
            None => self.enter_rooms(now),
        }
        self.pump(now);
    }

    /// The connection is gone, or an attempt to have one has failed.
    pub fn handle_lost(&mut self, reason: &str, now: Duration) {
        if matches!(self.link, Link::Waiting(_) | Link::Over) {
            return;
        }
        // What was caught of the replay is shown: it is in order, and will not be asked for again.
        self.flush_replay();
        self.forget_connection();
        if self.once {
            return self.end(Ending::Lost(reason.to_owned()));
        }
        let again_in = self.backoff.next_wait();
        self.link = Link::Waiting(now + again_in);
        self.actions.push_back(Action::Tell(Notice::Lost { reason: reason.to_owned(), again_in }));
    }

    /// The server said this.
    pub fn handle_event(&mut self, event: Event<'static>, now: Duration) {
        if matches!(self.link, Link::Down | Link::Waiting(_) | Link::Over) {
            return;
        }
        self.heard_at = now;
        self.hear(event, now);
        self.pump(now);
    }

    /// The user wants this.
    pub fn handle_command(&mut self, command: Command, now: Duration) {
        if self.link == Link::Over {
            return;
        }
        self.obey(command, now);
        self.pump(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens.
    pub fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let finish = (self.farewell != Farewell::Open).then(|| self.progress_at + FINISH_PATIENCE);
        let own = match self.link {
            Link::Over => return None,
            Link::Down => None,
            Link::Waiting(until) => Some(until),
            Link::Greeting | Link::CatchingUp | Link::Ready => {
                let silence = self.heard_at + if self.asks_alive() { GONE_AFTER } else { PING_AFTER };
                let pace = self.has_something_to_send().then(|| self.pace.next_at(now));
                // While a replay is under way, that is what fills gaps, however slow it is.
                let gaps =
                    self.rooms.values().filter(|_| self.link == Link::Ready).filter_map(Room::patience_ends).min();
                let greeting = (self.link == Link::Greeting).then(|| self.connected_at + GREETING_PATIENCE);
                [Some(silence), pace, gaps, greeting].into_iter().flatten().min()
            }
        };
        own.into_iter().chain(finish).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.farewell != Farewell::Open && self.link != Link::Over && now >= self.progress_at + FINISH_PATIENCE {
            return self.finish();
        }
        match self.link {
            Link::Over | Link::Down => {}
            Link::Waiting(until) => {
                if now >= until {
                    self.link = Link::Down;
                    self.actions.push_back(Action::Connect);
                }
            }
            Link::Greeting | Link::CatchingUp | Link::Ready => {
                if self.link == Link::Greeting && now >= self.connected_at + GREETING_PATIENCE {
                    return self.give_up_greeting(now);
                }
                if now >= self.heard_at + GONE_AFTER {
                    self.actions.push_back(Action::Disconnect);
                    let silence = format!("nothing was heard for {} s", GONE_AFTER.as_secs());
                    return self.handle_lost(&silence, now);
                }
                if now >= self.heard_at + PING_AFTER && !self.asks_alive() {
                    self.urgent.push_front(Urgent::Ping(Ping::Alive));
                }
                if self.link == Link::Ready {
                    self.give_up_gaps(|room| room.patience_ends().is_some_and(|ends| now >= ends), now);
                }
                self.pump(now);
            }
        }
    }

    /// Whether a sign of life is asked for, or will be as soon as something may be sent.
    fn asks_alive(&self) -> bool {
        self.pings.contains(&Ping::Alive) || self.urgent.iter().any(|it| matches!(it, Urgent::Ping(Ping::Alive)))
    }

    /// Who never answered is not a server that is slow for once, but of another kind.
    fn give_up_greeting(&mut self, now: Duration) {
        let silence = format!("there was no answer to a greeting for {} s", GREETING_PATIENCE.as_secs());
        self.actions.push_back(Action::Disconnect);
        if self.server.is_none() && !self.returning {
            return self.end(Ending::NoChat(silence));
        }
        self.handle_lost(&silence, now);
    }

    /// Ends the session in good order, as far as it got.
    pub(super) fn finish(&mut self) {
        self.end(self.so_far());
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.link = Link::Over;
        self.actions.extend([Action::Disconnect, Action::End(ending)]);
    }

    fn forget_connection(&mut self) {
        self.returning |= self.link != Link::Down;
        self.link = Link::Down;
        (self.greeting, self.renaming, self.pages) = (None, None, 0);
        if self.farewell == Farewell::Answered {
            self.farewell = Farewell::Meant;
        }
        self.urgent.clear();
        self.pings.clear();
        // They have not been shown, so they will be asked for again.
        self.early.clear();
        let unsure = std::mem::take(&mut self.whispers).len();
        if unsure > 0 {
            self.unsure += unsure;
            self.actions.push_back(Action::Tell(Notice::Unsure { count: unsure }));
        }
        for said in &mut self.unacked {
            said.label = None;
        }
        for (name, room) in &mut self.rooms {
            // What was said to a room shows that the server had let the user in, even if that was not heard of.
            if room.entered || self.unacked.iter().any(|said| said.room == *name) {
                room.interrupt();
            }
            room.asked = None;
        }
        self.leave_again();
    }

    pub(super) fn next_label(&mut self) -> u64 {
        self.label += 1;
        self.label
    }
}
