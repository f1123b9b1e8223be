//! The loop that puts a load on a chat: one poll, one slab of members, and who is still to come in. When a run goes from one stage to
//! the next is in [`stages`](super::stages).

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::kit::{Kit, Orders};
use super::member::Member;
use super::outcome::Outcome;
use super::plan::Plan;
use crate::engine::slab::GenerationalSlab;
use crate::load::client::End;
use crate::load::course::{Course, nanos};
use crate::load::dial::{BACKLOG_AGAIN_AFTER, Dialer, exhausted};
use crate::load::net::{Net, Ready, Socket};
use crate::load::{Error, Watch};

/// A run.
pub(super) struct Load<'a> {
    pub(super) plan: &'a Plan,
    net: Net,
    pub(super) kit: Kit,
    pub(super) members: GenerationalSlab<Member>,
    /// By number, those who are there.
    pub(super) keys: Vec<Option<usize>>,
    /// A member is pending until it is in its room, so that the server has so many to let in at once and no more.
    pub(super) dialer: Dialer,
    /// Open loop: the members that publish, in the timetable's order.
    pub(super) publishers: Vec<usize>,
    ready: Vec<Ready>,
    /// All that had come by then has been seen. A generator that got no processor for a while must not call that a server's delay.
    pub(super) seen_ns: u64,
    pub(super) course: Course,
    /// Since when nothing more is to come.
    pub(super) settled_ns: Option<u64>,
    /// Members of whom it is not decided whether they get in.
    pub(super) undecided: usize,
    pub(super) last_refusal: Option<io::Error>,
    pub(super) joining_ns: u64,
}

impl<'a> Load<'a> {
    pub(super) fn new(plan: &'a Plan) -> Result<Self, Error> {
        let mut dialer = Dialer::default();
        (0..plan.members).for_each(|number| dialer.plan(0, number));
        Ok(Self {
            plan,
            net: Net::new().map_err(Error::System)?,
            kit: Kit::new(plan, nick())?,
            members: GenerationalSlab::new(),
            keys: vec![None; plan.members],
            dialer,
            publishers: Vec::new(),
            ready: Vec::new(),
            seen_ns: 0,
            course: Course::new(plan.warm_up, plan.duration),
            settled_ns: None,
            undecided: plan.members,
            last_refusal: None,
            joining_ns: 0,
        })
    }

    pub(super) fn run(mut self, watch: &mut dyn Watch) -> Result<Outcome, Error> {
        while self.advance(watch)?.is_continue() {
            while let Some(number) = self.dialer.take_due(self.kit.hall.now_ns) {
                self.open(number)?;
            }
            self.say_due()?;
            let polled_ns = self.poll()?;
            self.handle_events()?;
            self.seen_ns = polled_ns;
        }
        Ok(self.outcome())
    }

    fn open(&mut self, number: usize) -> Result<(), Error> {
        let now_ns = self.kit.hall.look_at_clock();
        let socket = match Socket::connect(&self.plan.target) {
            Ok(socket) => socket,
            // A Unix-domain socket's backlog is full: unix(7). It has room again when the server accepts, and no event tells.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_stuck() => {
                self.dialer.plan(now_ns + nanos(BACKLOG_AGAIN_AFTER), number);
                return Ok(());
            }
            Err(error) => return self.refused(error),
        };
        let key = self.members.insert(Member::new(socket, number, now_ns));
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        self.net.register(member.socket(), key).map_err(Error::System)?;
        self.keys.get_mut(number).into_iter().for_each(|kept| *kept = Some(key));
        self.dialer.pending += 1;
        Ok(())
    }

    fn refused(&mut self, error: io::Error) -> Result<(), Error> {
        if let Some(error) = exhausted(&error) {
            return Err(Error::Connect(error));
        }
        self.kit.hall.proof.faults.refused += 1;
        self.last_refusal = Some(error);
        self.undecided -= 1;
        Ok(())
    }

    /// Whether nothing has moved for so long that nothing more is to be expected.
    pub(super) fn is_stuck(&self) -> bool {
        self.seen_ns.saturating_sub(self.kit.hall.moved_ns) >= nanos(self.plan.answer_timeout)
    }

    /// Says what has become due, by the timetable or by turn.
    fn say_due(&mut self) -> Result<(), Error> {
        let now_ns = self.kit.hall.now_ns;
        if let Orders::Timetable(pace) = &mut self.kit.hall.orders {
            let (due, publishers) = (pace.advance(now_ns), pace.connections);
            for number in due.take(self.publishers.len()) {
                let place = usize::try_from(number % publishers).unwrap_or(0);
                if let Some(publisher) = self.publishers.get(place) {
                    self.prompt(*publisher, 0)?;
                }
            }
        }
        while let Orders::Turns(turns) = &mut self.kit.hall.orders
            && let Some(publisher) = turns.take(now_ns)
        {
            self.prompt(publisher, 1)?;
        }
        Ok(())
    }

    /// Has a publisher say what it is to say, and so many messages more.
    fn prompt(&mut self, publisher: usize, more: usize) -> Result<(), Error> {
        let Some(key) = self.keys.get(publisher).copied().flatten() else { return Ok(()) };
        self.members.get_mut(key).into_iter().for_each(|member| member.owed += more);
        self.step(key)
    }

    pub(super) fn step(&mut self, key: usize) -> Result<(), Error> {
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        let stepped = member.step(&mut self.kit);
        stepped.or_else(|end| self.end(key, end))
    }

    /// Waits for what comes next; returns since when.
    fn poll(&mut self) -> Result<u64, Error> {
        let before_ns = self.kit.hall.look_at_clock();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(before_ns));
        let next_ns = self.course.next_ns(&self.kit.hall.tally, self.finished_ns());
        let next_ns = self.dialer.next_ns().map_or(next_ns, |dial_ns| dial_ns.min(next_ns));
        let precise =
            if let Orders::Timetable(pace) = &self.kit.hall.orders { pace.next_ns().map(until) } else { None };
        self.ready.clear();
        self.net.poll(until(next_ns), precise, &mut self.ready).map_err(Error::System)?;
        self.course.waited_ns += self.kit.hall.look_at_clock() - before_ns;
        Ok(before_ns)
    }

    fn handle_events(&mut self) -> Result<(), Error> {
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            self.handle_event(*event)?;
            // A thousand events take milliseconds; what becomes due meanwhile is not to wait for the last of them.
            self.say_due()?;
        }
        self.ready = ready;
        Ok(())
    }

    fn handle_event(&mut self, event: Ready) -> Result<(), Error> {
        // One that ended earlier in this very turn has no more events.
        let Some(member) = self.members.get_mut(event.key) else { return Ok(()) };
        let was_ready = member.is_ready();
        let handled = member.handle_ready(event, &mut self.kit);
        if !was_ready && member.is_ready() {
            let (number, joining_ns) = (member.number, member.joining_ns(self.kit.hall.now_ns));
            self.dialer.pending -= 1;
            self.undecided -= 1;
            let hall = &mut self.kit.hall;
            hall.moved_ns = hall.now_ns;
            hall.tally.connected(joining_ns);
            hall.proof.sit(number);
        }
        handled.or_else(|end| self.end(event.key, end))
    }

    /// A member is no more.
    pub(super) fn end(&mut self, key: usize, end: End) -> Result<(), Error> {
        let Some(member) = self.members.remove(key) else { return Ok(()) };
        self.keys.get_mut(member.number).into_iter().for_each(|kept| *kept = None);
        if !member.is_ready() {
            self.dialer.pending -= 1;
            let error = if let End::Refused(error) = end { error } else { io::ErrorKind::InvalidData.into() };
            return self.refused(error);
        }
        let hall = &mut self.kit.hall;
        hall.proof.rise(member.number);
        if let Orders::Turns(turns) = &mut hall.orders {
            turns.leave(member.number);
        }
        // What came garbled is at fault already.
        hall.proof.faults.broken += u64::from(!matches!(end, End::Garbled));
        Ok(())
    }
}

/// What the members of this run are called, each with its number behind it: no two runs at one server may meet.
fn nick() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    format!("b{:x}.{}-", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}
