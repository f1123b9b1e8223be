//! The stages of a run: when it goes on to the next, what is told to whom, and what is left at the end.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::driver::Load;
use super::faults::Violation;
use super::kit::Orders;
use super::outcome::Outcome;
use super::plan::Activity;
use super::proof::{Awaited, Named};
use super::turns::Turns;
use crate::load::client::End;
use crate::load::course::nanos;
use crate::load::ledger::Sent;
use crate::load::pace::Pace;
use crate::load::stages::LISTEN_ON;
use crate::load::{Error, Progress, Stage, Watch};
use crate::services::chat::wire::LOBBY;

/// A server that is still at work so many answer timeouts after the last message is not waited for any longer.
const MAX_FINISHING: u32 = 12;

impl Load<'_> {
    /// Goes on to the next stage when it is time, and does what is done ten times a second.
    pub(super) fn advance(&mut self, watch: &mut dyn Watch) -> Result<ControlFlow<()>, Error> {
        let now_ns = self.kit.hall.look_at_clock();
        if self.course.wants_sample(now_ns) {
            self.tell_faults();
            self.course.take_sample(now_ns, &mut self.kit.hall.tally);
        }
        if self.course.take_tick(now_ns) {
            self.expire()?;
            self.kit.hall.proof.trim();
            self.tell_faults();
            let progress = self.progress(now_ns);
            if watch.on_progress(&progress).is_break() {
                if self.course.stage == Stage::Measuring {
                    self.measured(now_ns, watch);
                    // What never came was not waited for.
                    self.settled_ns = None;
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.course.stage {
            Stage::Connecting if self.undecided == 0 => self.joined(now_ns, watch)?,
            Stage::WarmingUp if self.course.is_warm(now_ns) => self.begin_measuring(watch),
            Stage::Measuring if now_ns >= self.kit.hall.tally.window().end => self.measured(now_ns, watch),
            _ => {}
        }
        let is_over = self.course.stage == Stage::Finishing && self.is_over(now_ns);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Gives up what has taken too long.
    fn expire(&mut self) -> Result<(), Error> {
        let Some(overdue_ns) = self.seen_ns.checked_sub(nanos(self.plan.answer_timeout)) else { return Ok(()) };
        if let Orders::Turns(turns) = &mut self.kit.hall.orders {
            turns.expire(overdue_ns);
        }
        if self.course.stage == Stage::Connecting {
            let waits = |member: &super::member::Member| !member.is_ready() && member.joining_ns(overdue_ns) > 0;
            let late: Vec<_> = self.members.iter().filter(|(_, member)| waits(member)).map(|(key, _)| key).collect();
            for key in late {
                let why =
                    io::Error::new(io::ErrorKind::TimedOut, "the server did not let a member into its room in time");
                self.end(key, End::Refused(why))?;
            }
        }
        Ok(())
    }

    /// Everybody is in who gets in.
    fn joined(&mut self, now_ns: u64, watch: &mut dyn Watch) -> Result<(), Error> {
        if self.kit.hall.proof.members() == 0 {
            let error = self.last_refusal.take().unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
            return Err(Error::Connect(error));
        }
        self.joining_ns = now_ns;
        self.course.enter(Stage::WarmingUp, now_ns);
        if self.plan.warm_up.is_zero() {
            self.begin_measuring(watch);
        }
        self.give_orders();
        Ok(())
    }

    fn give_orders(&mut self) {
        let members = || self.keys.iter().enumerate().filter(|(_, key)| key.is_some()).map(|(number, _)| number);
        self.publishers = members().take_while(|member| *member < self.plan.publishers).collect();
        let hall = &mut self.kit.hall;
        hall.orders = match self.plan.activity {
            Activity::Closed { in_flight } => {
                let publishers = self.publishers.iter().copied();
                Orders::Turns(Turns::new(self.plan.rooms, members(), publishers, in_flight))
            }
            Activity::Open { rate } if !self.publishers.is_empty() => {
                let mut pace = Pace::new(hall.now_ns, rate, self.publishers.len());
                pace.end_at(hall.tally.window().end);
                Orders::Timetable(pace)
            }
            Activity::Open { .. } | Activity::Idle => Orders::Nothing,
        };
        for (place, publisher) in self.publishers.iter().enumerate() {
            let key = self.keys.get(*publisher).copied().flatten();
            if let Some(member) = key.and_then(|key| self.members.get_mut(key)) {
                member.next = place as u64;
            }
        }
    }

    fn begin_measuring(&mut self, watch: &mut dyn Watch) {
        watch.on_measuring();
        let hall = &mut self.kit.hall;
        let now_ns = hall.look_at_clock();
        let end_ns = self.course.begin_measuring(now_ns, &mut hall.tally);
        if let Orders::Timetable(pace) = &mut hall.orders {
            pace.end_at(end_ns);
        }
    }

    fn measured(&mut self, now_ns: u64, watch: &mut dyn Watch) {
        self.tell_faults();
        let hall = &mut self.kit.hall;
        self.course.end_measuring(now_ns, &mut hall.tally);
        watch.on_measured();
        // However late this is noticed: what was said last has its full time to come.
        let now_ns = hall.look_at_clock();
        self.course.enter(Stage::Finishing, now_ns);
        hall.moved_ns = now_ns;
        // What is due by a timetable is due all the same.
        if let Orders::Turns(_) = hall.orders {
            hall.orders = Orders::Nothing;
        }
    }

    /// Whether all that was said has come to all, and nothing more has come for a while, or nothing more will.
    fn is_over(&mut self, now_ns: u64) -> bool {
        if self.is_stuck() || self.course.passed(now_ns) >= self.plan.answer_timeout * MAX_FINISHING {
            return true;
        }
        if !self.is_settled() {
            self.settled_ns = None;
            return false;
        }
        self.settled_ns.get_or_insert(now_ns);
        self.finished_ns().is_some_and(|finished_ns| now_ns >= finished_ns)
    }

    fn is_settled(&self) -> bool {
        let due = if let Orders::Timetable(pace) = &self.kit.hall.orders { pace.due } else { 0 };
        let all_said = self.members.iter().all(|(_, member)| member.next >= due);
        all_said && self.kit.hall.proof.is_settled(|publisher| self.said(publisher).unwrap_or(0))
    }

    /// How many messages a publisher has said; none if it is no longer there.
    fn said(&self, publisher: usize) -> Option<u64> {
        let key = self.keys.get(publisher).copied().flatten()?;
        self.members.get(key).map(|member| member.said)
    }

    /// Until when it is listened on: a message that comes twice comes after the first.
    pub(super) fn finished_ns(&self) -> Option<u64> {
        self.settled_ns.map(|settled_ns| settled_ns + nanos(LISTEN_ON))
    }

    fn tell_faults(&mut self) {
        self.kit.hall.tally.faults = self.kit.hall.proof.faults.brief();
    }

    fn progress(&self, now_ns: u64) -> Progress {
        let part = |whole| self.course.part(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a part of a whole")]
        let done = match self.course.stage {
            Stage::Connecting => 1.0 - self.undecided as f64 / self.plan.members.max(1) as f64,
            Stage::WarmingUp => part(self.plan.warm_up),
            Stage::Measuring => part(self.plan.duration),
            Stage::Finishing => part(self.plan.answer_timeout),
        };
        Progress {
            stage: self.course.stage,
            done,
            connections: self.kit.hall.proof.members(),
            last: self.kit.hall.tally.samples.last().copied(),
            faults: self.kit.hall.tally.faults,
        }
    }

    pub(super) fn outcome(mut self) -> Outcome {
        let is_quiet = self.course.stage == Stage::Finishing && (self.settled_ns.is_some() || self.is_stuck());
        let said: Vec<_> = (0..self.plan.publishers).map(|publisher| self.said(publisher)).collect();
        let mut waited = self.kit.hall.proof.close(is_quiet, |publisher| said.get(publisher).copied().flatten());
        let due = self.settle_timetable(&mut waited);
        self.tell_faults();
        let hall = self.kit.hall;
        let mut tally = hall.tally;
        if tally.has_part() && !tally.samples.is_empty() {
            // Deliveries that came after the measured time.
            tally.sample(hall.now_ns);
        }
        tally.settle();
        let (elapsed, generator) = self.course.generator(&tally);
        let name = |Named { kind, member, room, id }: Named| {
            let room = hall.rooms.get(room).map_or(LOBBY, String::as_str).to_owned();
            Violation { kind, member, room, id }
        };
        Outcome {
            activity: self.plan.activity,
            elapsed,
            messages: hall.said,
            due,
            deliveries: tally.messages,
            delivered: tally.answered,
            bytes: tally.bytes,
            awaited: waited.deliveries,
            latency: tally.latency,
            joins: tally.connects,
            joining: Duration::from_nanos(self.joining_ns),
            members: hall.proof.members(),
            ids: hall.proof.ids(),
            received: hall.proof.received,
            faults: hall.proof.faults,
            violations: hall.proof.named.iter().copied().map(name).collect(),
            complaints: hall.complaints,
            samples: tally.samples,
            generator,
        }
    }

    /// Open loop: how many messages were due in the measured time. How long deliveries that never came have been waited for by now
    /// counts as their latency, or the worst would be left out; those of messages that were not even said are awaited, too.
    fn settle_timetable(&mut self, waited: &mut Awaited) -> u64 {
        let hall = &mut self.kit.hall;
        let Orders::Timetable(pace) = &hall.orders else { return 0 };
        let (window, now_ns, rooms) = (hall.tally.window().clone(), hall.now_ns, self.plan.rooms);
        let first = pace.first_due(window.start);
        for (due_ns, members) in std::mem::take(&mut waited.heard_of) {
            hall.tally.waited_by(Sent { due_ns, sent_ns: due_ns }, now_ns, members);
        }
        for (line, publisher) in (0..).zip(&self.publishers) {
            let members = hall.proof.members_of(publisher % rooms.max(1));
            let unheard = hall.proof.heard_of(*publisher).saturating_mul(pace.connections).saturating_add(line);
            if let Some((last, count)) = pace.until_due(unheard.max(pace.first_of(line, first))) {
                hall.tally.waited_in_steps(now_ns.saturating_sub(pace.due_ns(last)), pace.step_ns(), count, members);
            }
            let member = self.keys.get(*publisher).copied().flatten().and_then(|key| self.members.get(key));
            if let Some((_, unsaid)) = member.and_then(|member| pace.until_due(member.next)) {
                waited.deliveries = waited.deliveries.saturating_add(unsaid.saturating_mul(members));
            }
        }
        pace.due.saturating_sub(first)
    }
}
