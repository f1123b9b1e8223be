//! The stages of a run, and what comes of it: when it goes on to the next, what is told to whom, and what is left at the end.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::client::Client;
use super::course::nanos;
use super::driver::Load;
use super::kit::Orders;
use super::outcome::Outcome;
use super::pace::Pace;
use super::plan::Activity;
use super::tally::SAMPLE;
use super::{Error, Progress, Stage, Watch};

/// How long it is listened for more when all has been answered: an answer that comes twice comes after the first.
pub(super) const LISTEN_ON: Duration = Duration::from_millis(10);

impl Load<'_> {
    /// Goes on to the next stage when it is time, and does what is done ten times a second.
    pub(super) fn advance(&mut self, watch: &mut dyn Watch) -> Result<ControlFlow<()>, Error> {
        let now_ns = self.kit.look_at_clock();
        if self.course.wants_sample(now_ns) {
            self.course.take_sample(now_ns, &mut self.kit.tally);
        }
        if self.course.take_tick(now_ns) {
            self.expire()?;
            let progress = self.progress(now_ns);
            if watch.on_progress(&progress).is_break() {
                if self.course.stage == Stage::Measuring {
                    self.measured(now_ns, watch);
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.course.stage {
            Stage::Connecting if self.undecided == 0 && self.is_held() => self.connected(now_ns, watch)?,
            Stage::WarmingUp if self.course.is_warm(now_ns) => self.begin_measuring(watch),
            Stage::Measuring if now_ns >= self.kit.tally.window().end => self.measured(now_ns, watch),
            _ => {}
        }
        let is_over = self.course.stage == Stage::Finishing && self.is_over(now_ns);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Connections that are held have had an exchange; of others nothing is asked. One that only stands may still be in the
    /// backlog: a server that is short of processor time accepts it much later, and would be measured with half of its load.
    fn is_held(&self) -> bool {
        let held = match self.plan.activity {
            Activity::Idle => true,
            Activity::Closed { .. } => self.plan.ramp.is_zero(),
            Activity::Open { .. } | Activity::Churn => false,
        };
        !held || self.clients.iter().all(|(_, client)| client.is_settled(&self.kit))
    }

    fn connected(&mut self, now_ns: u64, watch: &mut dyn Watch) -> Result<(), Error> {
        if !self.stood {
            let error = self.last_refusal.take().unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
            return Err(Error::Connect(error));
        }
        self.connecting_ns = now_ns;
        self.course.enter(Stage::WarmingUp, now_ns);
        if self.plan.warm_up.is_zero() {
            self.begin_measuring(watch);
        }
        self.give_orders();
        self.again.extend(self.clients.keys());
        Ok(())
    }

    /// From now on connections send.
    pub(super) fn give_orders(&mut self) {
        self.kit.orders = match self.plan.activity {
            // A load would keep the server from accepting the others; over a ramp that is what is wanted.
            Activity::Closed { .. } if self.course.stage == Stage::Connecting && self.plan.ramp.is_zero() => {
                Orders::Once
            }
            Activity::Closed { in_flight } => Orders::Keep(in_flight),
            Activity::Open { .. } if self.course.stage == Stage::Connecting => Orders::Nothing,
            Activity::Open { rate } => {
                let mut pace = Pace::new(self.kit.now_ns, rate, self.plan.connections);
                pace.end_at(self.kit.tally.window().end);
                Orders::Timetable(pace)
            }
            Activity::Churn | Activity::Idle => Orders::Once,
        };
    }

    fn begin_measuring(&mut self, watch: &mut dyn Watch) {
        watch.on_measuring();
        let now_ns = self.kit.look_at_clock();
        let end_ns = self.course.begin_measuring(now_ns, &mut self.kit.tally);
        if let Orders::Timetable(pace) = &mut self.kit.orders {
            pace.end_at(end_ns);
        }
    }

    fn measured(&mut self, now_ns: u64, watch: &mut dyn Watch) {
        self.course.end_measuring(now_ns, &mut self.kit.tally);
        watch.on_measured();
        // However late this is noticed: what was sent last has its full time to be answered, and what is due is due.
        let now_ns = self.kit.look_at_clock();
        self.course.enter(Stage::Finishing, now_ns);
        if let Orders::Timetable(pace) = &mut self.kit.orders {
            pace.advance(now_ns);
        }
        self.dialer.clear();
        self.kit.finishing = true;
        if let Orders::Keep(_) = self.kit.orders {
            self.kit.orders = Orders::Nothing;
        }
        // Once more, in case something lies unread.
        self.again.extend(self.clients.keys());
    }

    /// Whether all that was sent is accounted for, and has been for a while, or will never be.
    fn is_over(&mut self, now_ns: u64) -> bool {
        // A tick longer, because that is when messages are given up.
        if self.course.passed(now_ns) >= self.plan.answer_timeout + SAMPLE {
            return true;
        }
        let due = if let Orders::Timetable(pace) = &self.kit.orders { pace.due } else { 0 };
        let settled = |client: &Client| client.is_settled(&self.kit) && (client.never_reads() || client.next >= due);
        if !self.clients.iter().all(|(_, client)| settled(client)) {
            self.settled_ns = None;
            return false;
        }
        let since_ns = *self.settled_ns.get_or_insert(now_ns);
        now_ns - since_ns >= nanos(LISTEN_ON)
    }

    fn progress(&self, now_ns: u64) -> Progress {
        let part = |whole| self.course.part(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a part of a whole")]
        let done = match self.course.stage {
            Stage::Connecting => 1.0 - self.undecided as f64 / self.lines.len().max(1) as f64,
            Stage::WarmingUp => part(self.plan.warm_up),
            Stage::Measuring => part(self.plan.duration),
            Stage::Finishing => part(self.plan.answer_timeout),
        };
        let (stage, connections) = (self.course.stage, self.connections());
        Progress {
            stage,
            done,
            connections,
            last: self.kit.tally.samples.last().copied(),
            faults: self.kit.tally.faults,
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.clients.iter().filter(|(_, client)| !client.is_connecting() && !client.never_reads()).count()
    }

    pub(super) fn outcome(mut self) -> Outcome {
        let connections = self.connections();
        let (due, unanswered) = self.settle_timetable();
        if self.course.stage == Stage::Finishing {
            let leftovers = self.clients.iter().filter(|(_, client)| client.has_leftover()).count();
            self.kit.tally.faults.corrupted += leftovers as u64;
        }
        let tally = &mut self.kit.tally;
        if tally.has_part() && !tally.samples.is_empty() {
            // Answers that came after the measured time.
            tally.sample(self.kit.now_ns);
        }
        tally.settle();
        let (elapsed, generator) = self.course.generator(tally);
        let tally = self.kit.tally;
        Outcome {
            activity: self.plan.activity,
            elapsed,
            messages: tally.messages,
            answered: tally.answered,
            bytes: tally.bytes,
            due,
            unanswered,
            latency: tally.latency,
            connects: tally.connects,
            connecting: Duration::from_nanos(self.connecting_ns),
            connections,
            cut_off: self.cut_off,
            faults: tally.faults,
            samples: tally.samples,
            generator,
        }
    }

    /// Open loop: how many messages were due in the measured time, and how many of them have neither been answered nor lost. How
    /// long these, and the lost, have waited by now counts as their latency, or the worst would be left out.
    fn settle_timetable(&mut self) -> (u64, u64) {
        let Orders::Timetable(pace) = &self.kit.orders else { return (0, 0) };
        let (window, now_ns) = (self.kit.tally.window().clone(), self.kit.now_ns);
        let first = pace.first_due(window.start);
        let due = pace.due.saturating_sub(first);
        if self.course.stage != Stage::Finishing {
            return (due, 0);
        }
        let tally = &mut self.kit.tally;
        let mut unanswered = 0;
        for (_, client) in self.clients.iter() {
            unanswered += client.ledger().unanswered().filter(|sent| tally.waited(**sent, now_ns)).count() as u64;
            client.ledger().given_up().for_each(|sent| _ = tally.waited(*sent, now_ns));
        }
        for (number, line) in self.lines.iter().take(self.plan.connections).enumerate() {
            let next = line.key.and_then(|key| self.clients.get(key)).map_or(line.next, |client| client.next);
            let next = next.max(pace.first_of(number as u64, first));
            if let Some((last, unsent)) = pace.until_due(next) {
                tally.waited_in_steps(now_ns.saturating_sub(pace.due_ns(last)), pace.step_ns(), unsent, 1);
                unanswered += unsent;
            }
        }
        (due, unanswered)
    }
}
