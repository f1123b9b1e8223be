//! One connection: what it has asked for, and how far the answer is.
//!
//! Its invariant: one request is answered at a time and to its end, so that no answer stands within another's bytes; and one
//! piece of work is on its way at a time, asked for when what was sent before has left.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::wire::{self, Code, Fault, Refusal, Request};
use super::work::{Outcome, Task};
use super::{Dialect, Shared};
use crate::frame::Payload;
use crate::service::Context;
use crate::service::{JobError, JobId, JobOutput, Peer, TimerId};

/// Requests that wait for the one that is being answered. Further ones are counted, and refused in their turn.
const MAX_WAITING: usize = 16;

/// Refusals that are said without waiting for room.
const REFUSALS_AT_ONCE: u64 = 64;

/// How long until work is asked for again that there was no room for.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// A connection's side of the service.
pub(super) struct Session {
    shared: Arc<Shared>,
    peer: Peer,
    /// Requests in the order in which they came; what could not be understood is answered in its turn, too.
    waiting: VecDeque<Result<Request, Fault>>,
    /// Requests that came after those and are refused.
    turned_away: u64,
    step: Step,
    /// What the log calls the request that is being answered.
    asked: String,
}

/// What a session waits for.
enum Step {
    /// A request.
    Idle,
    /// A worker.
    Working(JobId, Task),
    /// A moment at which workers have less to do.
    Pausing(TimerId, Task),
    /// Room for more output: to go on with this, or with the next request.
    Draining(Option<Task>),
    /// Nothing: it is over.
    Over,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, peer: Peer) -> Self {
        let (waiting, asked) = (VecDeque::new(), String::new());
        Self { shared, peer, waiting, turned_away: 0, step: Step::Idle, asked }
    }

    pub(super) fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match (self.shared.dialect, &self.step) {
            (Dialect::Plain, Step::Idle) => {
                self.asked = format!("{:?}", String::from_utf8_lossy(payload.get(..256).unwrap_or(payload)));
                let names = names_in(payload);
                self.work(cx, Task::bytes(Arc::clone(&self.shared), names));
            }
            // One name is one connection.
            (Dialect::Plain, _) => {}
            (Dialect::Framed, _) => {
                // Who is refused once is refused until all have been told: answers keep the order of their requests.
                if self.turned_away > 0 || self.waiting.len() >= MAX_WAITING {
                    self.turned_away = self.turned_away.saturating_add(1);
                } else {
                    self.waiting.push_back(Request::from_json(payload));
                }
                if let Step::Idle = self.step {
                    self.next_request(cx);
                }
            }
        }
    }

    pub(super) fn on_writable(&mut self, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Draining(Some(task)) => self.work(cx, task),
            Step::Draining(None) => self.next_request(cx),
            // The engine tells of room that nobody has asked for, too.
            other => self.step = other,
        }
    }

    pub(super) fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Pausing(set, task) if set == timer => self.work(cx, task),
            other => self.step = other,
        }
    }

    pub(super) fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        let task = match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Working(asked, task) if asked == job => task,
            other => {
                self.step = other;
                return;
            }
        };
        match output.take::<Outcome>() {
            Ok(Outcome::Onward) => self.work(cx, task),
            Ok(Outcome::Piece(piece)) => self.say(cx, piece, Some(task)),
            Ok(Outcome::Last(last)) => self.finish(cx, last),
            Ok(Outcome::Denied(fault)) => self.deny(cx, fault),
            Ok(Outcome::Broken(why)) => self.break_off(cx, why),
            Err(JobError::Rejected) => self.step = Step::Pausing(cx.set_timer(TRY_AGAIN), task),
            Err(error) => self.break_off(cx, error.to_string()),
        }
    }

    /// Who has closed its side waits for workers in vain: an engine keeps such a connection for work and for output alone.
    pub(super) fn on_close(&mut self, cx: &mut Context<'_>) {
        if let Step::Pausing(..) = std::mem::replace(&mut self.step, Step::Over) {
            log::warn!("files {}: no worker for {}", self.peer, self.asked);
            if self.shared.dialect == Dialect::Framed {
                cx.reply(&refusal(Fault::new(Code::Busy, "too much is going on; ask again later")));
            }
        }
    }

    fn next_request(&mut self, cx: &mut Context<'_>) {
        match self.waiting.pop_front() {
            Some(Ok(Request::Get { get, offset })) => {
                self.asked = format!("{get:?} from {offset}");
                self.work(cx, Task::resumable(Arc::clone(&self.shared), get, offset));
            }
            Some(Ok(Request::List { list })) => {
                self.asked = format!("what is below {list:?}");
                self.work(cx, Task::list(Arc::clone(&self.shared), list));
            }
            Some(Err(fault)) => {
                "a request".clone_into(&mut self.asked);
                self.deny(cx, fault);
            }
            None if self.turned_away > 0 => {
                let words =
                    refusal(Fault::new(Code::Busy, "too many requests at once; ask again, one after the other"));
                let now = self.turned_away.min(REFUSALS_AT_ONCE);
                (0..now).for_each(|_| cx.reply(&words));
                self.turned_away -= now;
                self.wait_for_room(cx, None);
            }
            None => self.step = Step::Idle,
        }
    }

    fn work(&mut self, cx: &mut Context<'_>, task: Task) {
        let same = task.clone();
        self.step = Step::Working(cx.offload(move || same.advance()), task);
    }

    fn say(&mut self, cx: &mut Context<'_>, payload: Payload, then: Option<Task>) {
        cx.send(cx.conn(), payload);
        self.wait_for_room(cx, then);
    }

    fn wait_for_room(&mut self, cx: &mut Context<'_>, then: Option<Task>) {
        cx.notify_writable();
        self.step = Step::Draining(then);
    }

    fn finish(&mut self, cx: &mut Context<'_>, last: Option<Payload>) {
        log::debug!("files {}: {} is answered", self.peer, self.asked);
        if let Some(last) = last {
            cx.send(cx.conn(), last);
        }
        match self.shared.dialect {
            Dialect::Framed => self.wait_for_room(cx, None),
            Dialect::Plain => self.end(cx, "the whole file has been sent".to_owned()),
        }
    }

    fn deny(&mut self, cx: &mut Context<'_>, fault: Fault) {
        // Who is told nothing has only the log to be found in.
        let level = if self.shared.dialect == Dialect::Plain { log::Level::Info } else { log::Level::Debug };
        log::log!(level, "files {}: {} is not granted: {}", self.peer, self.asked, fault.text);
        match self.shared.dialect {
            Dialect::Framed => self.say(cx, refusal(fault).into(), None),
            Dialect::Plain => self.end(cx, fault.text),
        }
    }

    /// Part of an answer has been sent, and the rest will not come: only the end of the connection says so.
    fn break_off(&mut self, cx: &mut Context<'_>, why: String) {
        log::warn!("files {}: {} is broken off: {why}", self.peer, self.asked);
        self.end(cx, why);
    }

    fn end(&mut self, cx: &mut Context<'_>, why: String) {
        self.step = Step::Over;
        cx.close(why);
    }
}

fn refusal(error: Fault) -> Vec<u8> {
    wire::to_json(&Refusal { error })
}

/// The names that a message may mean: all of it, and what is before the line ending that a line-based client adds.
fn names_in(message: &[u8]) -> Vec<PathBuf> {
    let line = message.strip_suffix(b"\n").unwrap_or(message);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut names: Vec<_> = path(message).into_iter().collect();
    if line.len() < message.len() {
        names.extend(path(line));
    }
    names
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere a name is text")]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}
