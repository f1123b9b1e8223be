//! The loop that puts a load on: one poll, one slab of connections, and what is open or to be opened.
//!
//! It knows what is to be open and what ended; what happens on a connection is the connection's own business, and when a run goes
//! from one stage to the next is in [`stages`](super::stages).

use std::io;
use std::time::Duration;

use super::client::{Client, End, Wants};
use super::course::{Course, nanos};
use super::dial::{AGAIN_AFTER, BACKLOG_AGAIN_AFTER, Dialer, exhausted};
use super::kit::{Kit, Orders};
use super::ledger::Sent;
use super::net::{Net, Ready, Socket};
use super::outcome::Outcome;
use super::plan::{Activity, Plan};
use super::stages::LISTEN_ON;
use super::{Error, Stage, Watch};
use crate::engine::slab::GenerationalSlab;

/// A run.
pub(super) struct Load<'a> {
    pub(super) plan: &'a Plan,
    pub(super) net: Net,
    pub(super) kit: Kit,
    pub(super) clients: GenerationalSlab<Client>,
    /// By number: the planned connections, and then the slow readers.
    pub(super) lines: Vec<Line>,
    pub(super) dialer: Dialer,
    /// Clients that stopped only to let others have their turn.
    pub(super) again: Vec<usize>,
    /// Events of one poll.
    pub(super) ready: Vec<Ready>,
    pub(super) course: Course,
    pub(super) settled_ns: Option<u64>,
    /// Lines whose first attempt is not decided.
    pub(super) undecided: usize,
    /// Clients that have been connected so far; each is a new one to the server.
    pub(super) opened: u32,
    /// Whether any of the planned connections ever stood.
    pub(super) stood: bool,
    pub(super) last_refusal: Option<io::Error>,
    pub(super) cut_off: usize,
    pub(super) connecting_ns: u64,
}

/// A connection as planned, whichever socket it has now.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) key: Option<usize>,
    pub(super) is_decided: bool,
    /// Open loop: its next message by the timetable.
    pub(super) next: u64,
    /// Since when it has found no room in the server's backlog.
    pub(super) crowded_out_ns: Option<u64>,
}

impl<'a> Load<'a> {
    pub(super) fn new(plan: &'a Plan) -> Result<Self, Error> {
        let kit = Kit::new(plan)?;
        let count = plan.connections + plan.slow_readers;
        let mut dialer = Dialer::default();
        let ramp = plan.ramp / u32::try_from(plan.connections).unwrap_or(u32::MAX).max(1);
        for line in 0..count {
            let steps = u32::try_from(line.min(plan.connections)).unwrap_or(u32::MAX);
            dialer.plan(nanos(ramp.saturating_mul(steps)), line);
        }
        let line = |number| Line { key: None, is_decided: false, next: number as u64, crowded_out_ns: None };
        Ok(Self {
            plan,
            net: Net::new().map_err(Error::System)?,
            kit,
            clients: GenerationalSlab::new(),
            lines: (0..count).map(line).collect(),
            dialer,
            again: Vec::new(),
            ready: Vec::new(),
            course: Course::new(plan.warm_up, plan.duration),
            settled_ns: None,
            undecided: count,
            opened: 0,
            stood: false,
            last_refusal: None,
            cut_off: 0,
            connecting_ns: 0,
        })
    }

    pub(super) fn run(mut self, watch: &mut dyn Watch) -> Result<Outcome, Error> {
        self.give_orders();
        while self.advance(watch)?.is_continue() {
            self.dial()?;
            self.send_due()?;
            self.step_again()?;
            self.poll()?;
            self.handle_events()?;
        }
        Ok(self.outcome())
    }

    /// Gives up what was not answered in time.
    pub(super) fn expire(&mut self) -> Result<(), Error> {
        let Some(sent_ns) = self.kit.now_ns.checked_sub(nanos(self.plan.answer_timeout)) else { return Ok(()) };
        for key in self.clients.keys() {
            let Some(client) = self.clients.get_mut(key) else { continue };
            let lost = self.kit.tally.faults.lost;
            if let Some(error) = client.take_own_failure(sent_ns) {
                return Err(Error::System(error));
            }
            if let Err(end) = client.expire(sent_ns, &mut self.kit) {
                self.end(key, end)?;
            } else if self.kit.tally.faults.lost > lost {
                self.again.push(key);
            }
        }
        Ok(())
    }

    fn dial(&mut self) -> Result<(), Error> {
        while let Some(line) = self.dialer.take_due(self.kit.now_ns) {
            self.open(line)?;
        }
        Ok(())
    }

    fn open(&mut self, number: usize) -> Result<(), Error> {
        self.kit.look_at_clock();
        let socket = match Socket::connect(&self.plan.target) {
            Ok(socket) => socket,
            // A Unix-domain socket's backlog is full: unix(7).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.crowded_out(number),
            Err(error) => return self.refused(number, error),
        };
        let Some(line) = self.lines.get_mut(number) else { return Ok(()) };
        line.crowded_out_ns = None;
        let never_reads = number >= self.plan.connections;
        let client = Client::new(socket, number, self.opened, line.next, never_reads, &self.kit);
        self.opened = self.opened.wrapping_add(1);
        let key = self.clients.insert(client);
        line.key = Some(key);
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        self.net.register(client.socket(), key).map_err(Error::System)?;
        if client.is_connecting() {
            self.dialer.pending += 1;
        } else {
            self.stands(number);
            self.again.push(key);
        }
        Ok(())
    }

    /// There is room in the backlog when the server accepts, and no event tells. One that never does is not asked for ever.
    fn crowded_out(&mut self, number: usize) -> Result<(), Error> {
        let Some(line) = self.lines.get_mut(number) else { return Ok(()) };
        let since_ns = *line.crowded_out_ns.get_or_insert(self.kit.now_ns);
        if self.kit.now_ns - since_ns >= nanos(self.plan.answer_timeout) {
            line.crowded_out_ns = None;
            return self.refused(number, io::ErrorKind::TimedOut.into());
        }
        self.dialer.plan(self.kit.now_ns + nanos(BACKLOG_AGAIN_AFTER), number);
        Ok(())
    }

    fn stands(&mut self, number: usize) {
        self.stood |= number < self.plan.connections;
        self.decide(number);
    }

    /// It stands, or will not.
    fn decide(&mut self, number: usize) {
        if let Some(line) = self.lines.get_mut(number)
            && !line.is_decided
        {
            line.is_decided = true;
            self.undecided -= 1;
        }
    }

    fn refused(&mut self, number: usize, error: io::Error) -> Result<(), Error> {
        if let Some(error) = exhausted(&error) {
            return Err(Error::Connect(error));
        }
        self.kit.tally.faults.refused += 1;
        self.last_refusal = Some(error);
        self.decide(number);
        self.open_again(number);
        Ok(())
    }

    fn open_again(&mut self, number: usize) {
        if self.course.stage != Stage::Finishing
            && self.plan.activity != Activity::Idle
            && number < self.plan.connections
        {
            self.dialer.plan(self.kit.now_ns + nanos(AGAIN_AFTER), number);
        }
    }

    /// Sends what has become due by the timetable.
    fn send_due(&mut self) -> Result<(), Error> {
        let now_ns = self.kit.now_ns;
        let Orders::Timetable(pace) = &mut self.kit.orders else { return Ok(()) };
        let due = pace.advance(now_ns);
        let connections = pace.connections;
        for number in due.take(self.plan.connections) {
            let line = self.lines.get(usize::try_from(number % connections).unwrap_or(0));
            if let Some(key) = line.and_then(|line| line.key) {
                self.step(key)?;
            }
        }
        Ok(())
    }

    fn step_again(&mut self) -> Result<(), Error> {
        for key in std::mem::take(&mut self.again) {
            self.step(key)?;
        }
        Ok(())
    }

    fn step(&mut self, key: usize) -> Result<(), Error> {
        let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_connecting()) else { return Ok(()) };
        let stepped = client.step(&mut self.kit);
        self.stepped(key, stepped)
    }

    fn stepped(&mut self, key: usize, stepped: Result<Wants, End>) -> Result<(), Error> {
        if let Some(refusal) = self.kit.refusal.take()
            && !self.kit.heard
        {
            return Err(Error::Connect(refusal));
        }
        match stepped {
            Ok(Wants::Event) => Ok(()),
            Ok(Wants::Step) => {
                self.again.push(key);
                Ok(())
            }
            Err(end) => self.end(key, end),
        }
    }

    /// Waits for what comes next.
    fn poll(&mut self) -> Result<(), Error> {
        let before_ns = self.kit.look_at_clock();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(before_ns));
        let finished_ns = self.settled_ns.map(|settled_ns| settled_ns + nanos(LISTEN_ON));
        let next_ns = self.course.next_ns(&self.kit.tally, finished_ns);
        let next_ns = self.dialer.next_ns().map_or(next_ns, |dial_ns| dial_ns.min(next_ns));
        let timeout = if self.again.is_empty() { until(next_ns) } else { Duration::ZERO };
        let precise = if let Orders::Timetable(pace) = &self.kit.orders { pace.next_ns().map(until) } else { None };
        self.ready.clear();
        self.net.poll(timeout, precise, &mut self.ready).map_err(Error::System)?;
        self.course.waited_ns += self.kit.look_at_clock() - before_ns;
        Ok(())
    }

    fn handle_events(&mut self) -> Result<(), Error> {
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            self.handle_event(*event)?;
            // A thousand events take milliseconds; what becomes due meanwhile is not to wait for the last of them.
            self.send_due()?;
        }
        self.ready = ready;
        Ok(())
    }

    fn handle_event(&mut self, event: Ready) -> Result<(), Error> {
        // A connection that ended earlier in this very turn has no more events.
        let Some(client) = self.clients.get_mut(event.key) else { return Ok(()) };
        let was_connecting = client.is_connecting();
        let stepped = client.handle_ready(event, &mut self.kit);
        if was_connecting && !client.is_connecting() {
            let number = client.line;
            self.dialer.pending -= 1;
            self.stands(number);
        }
        self.stepped(event.key, stepped)
    }

    /// A connection is no more.
    fn end(&mut self, key: usize, end: End) -> Result<(), Error> {
        let Some(mut client) = self.clients.remove(key) else { return Ok(()) };
        let number = client.line;
        if client.is_connecting() {
            self.dialer.pending -= 1;
        }
        if let Some(line) = self.lines.get_mut(number) {
            (line.key, line.next) = (None, client.next);
        }
        if let End::Refused(error) = end {
            return self.refused(number, error);
        }
        if client.never_reads() {
            self.cut_off += 1;
            return Ok(());
        }
        client.lose_all(&mut self.kit.tally, self.kit.now_ns);
        match end {
            End::Finished => {
                if let Some((began_ns, bytes)) = client.exchange() {
                    let now_ns = self.kit.look_at_clock();
                    self.kit.tally.right(Sent { due_ns: began_ns, sent_ns: began_ns }, bytes, now_ns);
                }
                if self.course.stage != Stage::Finishing {
                    self.dialer.plan(self.kit.now_ns, number);
                }
            }
            End::Broken => {
                self.kit.tally.faults.broken += 1;
                self.open_again(number);
            }
            End::Garbled | End::Refused(_) => self.open_again(number),
        }
        Ok(())
    }
}
