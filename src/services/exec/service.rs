//! The service: from a request to a command, and from what came of it to an answer.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::answer::Answer;
use super::desk::{Desk, Offer, State, Waiting};
use super::leash::Leash;
use super::order::{self, Order, Refusal};
use super::rules::Rules;
use super::run::{Bounds, Ran, run};
use super::wire::{Dialect, READY};
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{ConnId, JobError, JobId, JobOutput, Peer, Service, TimerId};

/// How long an answer waits for its client's word.
const OFFER_TIMEOUT: Duration = Duration::from_secs(30);

/// Characters of a command line that are logged.
const MAX_LOGGED_CHARS: usize = 200;

/// Runs allowed commands and answers with what they say.
///
/// Each frame is a command line. A connection's commands run one after the other; those of several side by side, up to
/// [`Rules::jobs`]. Every request has an answer: text where nothing was run. See [`wire`](super::wire) for the bytes.
///
/// A command is killed, with its process group, when its connection has gone and when this is dropped. On `Threaded` a
/// connection hears of neither while its command runs: there [`Rules::timeout`] ends it. What leaves its process group on
/// purpose, as a daemon does, is not followed.
///
/// Answers are bytes, which hold line feeds: [`Framing::Lines`](crate::Framing::Lines) cannot carry them.
///
/// ```no_run
/// use switchboard::services::exec::{Allowed, Exec, Program, Rules};
/// use switchboard::{Framing, Limits, Reactor};
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let exec = reactor.add_service("exec", Exec::new(Rules::new(Allowed::Programs(vec![Program::find("date")?]))));
/// reactor.listen(exec, &"127.0.0.1:8086".parse()?, Framing::Raw)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Exec {
    rules: Arc<Rules>,
    common: Arc<Common>,
    desks: HashMap<ConnId, Desk>,
}

/// What all instances have in common.
#[derive(Default)]
struct Common {
    /// Bytes that wait for their clients' word, of all connections.
    offered: Arc<AtomicUsize>,
    /// What runs or waits for its turn; nothing once the engine stops, and then nothing more is begun.
    begun: Mutex<Begun>,
}

#[derive(Default)]
struct Begun {
    leashes: Vec<Weak<Leash>>,
    is_over: bool,
}

impl Exec {
    /// One that obeys `rules`.
    pub fn new(rules: Rules) -> Self {
        Self { rules: Arc::new(rules), common: Arc::default(), desks: HashMap::new() }
    }

    /// Meets a request, when nothing runs for its connection.
    fn meet(&mut self, cx: &mut Context<'_>, message: &[u8]) {
        let Some(desk) = self.desks.get_mut(&cx.conn()) else { return };
        if let State::Offered { offer, closes, timer } = std::mem::take(&mut desk.state) {
            cx.cancel_timer(timer);
            let is_taken = order::is_start(message, &self.rules);
            if is_taken {
                cx.reply(&offer.bytes);
            }
            if closes {
                desk.forget();
                cx.close("refused");
            }
            if is_taken || closes {
                return;
            }
        }
        let order::Read { name, order } = order::read(message, &self.rules);
        match order {
            Ok(order) => self.begin(cx, name, order),
            Err(Refusal { text, closes }) => {
                log::info!("exec: {} was refused '{}': {text}", desk.peer, name.escape_debug());
                self.tell(cx, Answer::refusal(name, &text), closes);
            }
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, name: String, order: Order) {
        let Some(leash) = self.common.leash() else {
            self.tell(cx, Answer::refusal(name, "the server is stopping"), false);
            return;
        };
        let Some(desk) = self.desks.get_mut(&cx.conn()) else { return };
        log::info!("exec: {} wants {}", desk.peer, logged(&order));
        desk.state = State::Running { name, leash: Arc::clone(&leash) };
        let bounds = Bounds { timeout: self.rules.timeout, max_output_bytes: self.rules.max_output_bytes };
        cx.offload(move || run(&order, bounds, &leash));
    }

    fn tell(&mut self, cx: &mut Context<'_>, answer: Answer, closes: bool) {
        let Some(desk) = self.desks.get_mut(&cx.conn()) else { return };
        let dialect = self.rules.dialect;
        if closes {
            desk.forget();
        }
        let bytes = answer.bytes(dialect);
        if dialect == Dialect::Ready {
            let busy =
                || Offer::new(b"exec: busy: too many answers wait for their clients\n".to_vec(), &Arc::default());
            let Some(offer) = Offer::new(bytes, &self.common.offered).or_else(busy) else { return };
            cx.reply(format!("{READY}{}", offer.bytes.len()).as_bytes());
            let timer = cx.set_timer(OFFER_TIMEOUT);
            desk.state = State::Offered { offer, closes, timer };
            return;
        }
        cx.reply(&bytes);
        if closes {
            cx.close("refused");
        }
    }

    /// Meets what has waited, until something runs again.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        while let Some(desk) = self.desks.get_mut(&cx.conn())
            && !desk.is_running()
            && let Some(waiting) = desk.next()
        {
            match waiting {
                Waiting::Message(message) => self.meet(cx, &message),
                Waiting::TurnedDown => {
                    let words = "busy: too many commands of this connection wait; wait for an answer before the next";
                    self.tell(cx, Answer::refusal(String::new(), words), false);
                }
            }
        }
    }
}

impl Common {
    /// A leash for one more command, unless there are to be no more.
    fn leash(&self) -> Option<Arc<Leash>> {
        let mut begun = self.begun();
        if begun.is_over {
            return None;
        }
        begun.leashes.retain(|leash| leash.strong_count() > 0);
        let leash = Arc::<Leash>::default();
        begun.leashes.push(Arc::downgrade(&leash));
        Some(leash)
    }

    /// Ends all commands, and those that wait before they have begun.
    fn end(&self) {
        let mut begun = self.begun();
        begun.is_over = true;
        let leashes: Vec<_> = begun.leashes.drain(..).filter_map(|leash| leash.upgrade()).collect();
        // All of them before the first is killed: whoever waits for its place would begin in it.
        for leash in &leashes {
            leash.give_up();
        }
        for leash in &leashes {
            leash.cancel();
        }
    }

    /// Nothing panics with the lock held.
    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Exec {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        self.desks.insert(cx.conn(), Desk::of(peer));
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match self.desks.get_mut(&cx.conn()) {
            Some(desk) if desk.is_running() => {
                if !desk.add(payload) {
                    cx.close("sends commands without waiting for answers");
                }
            }
            _ => self.meet(cx, payload),
        }
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        let Some(desk) = self.desks.get_mut(&cx.conn()) else { return };
        if desk.is_left {
            self.desks.remove(&cx.conn());
            return;
        }
        let State::Running { name, .. } = std::mem::take(&mut desk.state) else { return };
        let Rules { dialect, timeout, max_output_bytes, .. } = *self.rules;
        let answer = match output.take::<io::Result<Ran>>() {
            Ok(Ok(ran)) => Answer::of(name, ran, dialect, timeout, max_output_bytes),
            Ok(Err(error)) => {
                let words = format!("cannot run '{}': {error}", name.escape_debug());
                Answer::refusal(name, &words)
            }
            Err(JobError::Rejected) => Answer::refusal(name, "busy: too many commands wait already; try again later"),
            Err(error) => Answer::refusal(name, &error.to_string()),
        };
        self.tell(cx, answer, false);
        self.go_on(cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let Some(desk) = self.desks.get_mut(&cx.conn()) else { return };
        if let State::Offered { timer: own, closes, .. } = &desk.state
            && *own == timer
        {
            let closes = *closes;
            desk.state = State::Nothing;
            if closes {
                cx.close("refused");
            }
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        let Some(desk) = self.desks.get_mut(&cx.conn()) else { return };
        desk.forget();
        if let State::Running { leash, .. } = &desk.state {
            leash.cancel();
            // Until nothing is left of the command, so that it is not forgotten when the service goes.
            desk.is_left = true;
        } else {
            self.desks.remove(&cx.conn());
        }
    }

    /// Who waits for an answer gets it now, and nobody waits for a command that nobody will read.
    fn on_shutdown(&mut self, _cx: &mut Context<'_>) {
        self.common.end();
    }

    fn job_threads(&self) -> Option<NonZeroUsize> {
        Some(self.rules.jobs)
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        let (rules, common) = (Arc::clone(&self.rules), Arc::clone(&self.common));
        Some(Box::new(Self { rules, common, desks: HashMap::new() }))
    }
}

impl Drop for Exec {
    /// What runs is killed before whoever drops it can end the process.
    fn drop(&mut self) {
        for desk in self.desks.values() {
            if let State::Running { leash, .. } = &desk.state {
                leash.cancel_now();
            }
        }
    }
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exec({:?})", self.rules)
    }
}

/// A command as the log has it, on one line and not too long.
fn logged(order: &Order) -> String {
    let words = std::iter::once(&order.name).chain(&order.arguments);
    let line = words.take(MAX_LOGGED_CHARS).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(MAX_LOGGED_CHARS).flat_map(char::escape_debug).collect();
    if line.chars().nth(MAX_LOGGED_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;
    use crate::services::exec::Allowed;

    #[test]
    fn nothing_runs_on_when_the_service_has_gone() {
        let mut exec = Exec::new(Rules::new(Allowed::Shell));
        let leash = Arc::<Leash>::default();
        let sleep = || Command::new("sleep").arg("1000").process_group(0).spawn();
        let mut child = leash.start(sleep).unwrap().unwrap();
        let state = State::Running { name: "sleep".to_owned(), leash: Arc::clone(&leash) };
        let mut desk = Desk::of(&Peer::Unix);
        desk.state = state;
        exec.desks.insert(ConnId::NONE, desk);
        drop(exec);
        assert!(leash.start(sleep).unwrap().is_none(), "nor does anything begin");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
