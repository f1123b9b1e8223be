//! The stages of a run, and what comes of it: when it goes on to the next, what is told to whom, and what is left at the end.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::config::Activity;
use super::driver::LoadDriver;
use super::echo_client::EchoClient;
use super::error::LoadError;
use super::observer::{LoadObserver, LoadProgress};
use super::outcome::LoadOutcome;
use super::pace::SendSchedule;
use super::phases::{LISTEN_ON, LoadPhase, nanos};
use super::recorder::SAMPLE;
use super::run_context::SendPolicy;

impl LoadDriver<'_> {
    /// Goes on to the next stage when it is time, and does what is done ten times a second.
    pub(super) fn advance(&mut self, observer: &mut dyn LoadObserver) -> Result<ControlFlow<()>, LoadError> {
        let now_ns = self.context.read_clock();
        if self.phases.is_sample_due(now_ns) {
            self.phases.take_sample(now_ns, &mut self.context.recorder);
        }
        if self.phases.take_tick(now_ns) {
            self.expire()?;
            let progress = self.progress(now_ns);
            if observer.on_progress(&progress).is_break() {
                if self.phases.phase == LoadPhase::Measuring {
                    self.measured(now_ns, observer);
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.phases.phase {
            LoadPhase::Connecting if self.undecided == 0 && self.is_held() => self.connected(now_ns, observer)?,
            LoadPhase::WarmingUp if self.phases.is_warm(now_ns) => self.begin_measuring(observer),
            LoadPhase::Measuring if now_ns >= self.context.recorder.window().end => self.measured(now_ns, observer),
            _ => {}
        }
        let is_over = self.phases.phase == LoadPhase::Finishing && self.is_over(now_ns);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Connections that are held have had an exchange; of others nothing is asked. One that only stands may still be in the
    /// backlog: a server that is short of processor time accepts it much later, and would be measured with half of its load.
    fn is_held(&self) -> bool {
        let held = match self.config.activity {
            Activity::Idle => true,
            Activity::Closed { .. } => self.config.ramp.is_zero(),
            Activity::Open { .. } | Activity::Churn => false,
        };
        !held || self.clients.iter().all(|(_, client)| client.is_settled(&self.context))
    }

    fn connected(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) -> Result<(), LoadError> {
        if !self.stood {
            let error = self.last_refusal.take().unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
            return Err(LoadError::Connect(error));
        }
        self.connecting_ns = now_ns;
        self.phases.enter(LoadPhase::WarmingUp, now_ns);
        if self.config.warm_up.is_zero() {
            self.begin_measuring(observer);
        }
        self.give_orders();
        self.again.extend(self.clients.keys());
        Ok(())
    }

    /// From now on connections send.
    pub(super) fn give_orders(&mut self) {
        self.context.policy = match self.config.activity {
            // A load would keep the server from accepting the others; over a ramp that is what is wanted.
            Activity::Closed { .. } if self.phases.phase == LoadPhase::Connecting && self.config.ramp.is_zero() => {
                SendPolicy::Once
            }
            Activity::Closed { in_flight } => SendPolicy::Keep(in_flight),
            Activity::Open { .. } if self.phases.phase == LoadPhase::Connecting => SendPolicy::Nothing,
            Activity::Open { rate } => {
                let mut pace = SendSchedule::new(self.context.now_ns, rate, self.config.connections);
                pace.end_at(self.context.recorder.window().end);
                SendPolicy::Timetable(pace)
            }
            Activity::Churn | Activity::Idle => SendPolicy::Once,
        };
    }

    fn begin_measuring(&mut self, observer: &mut dyn LoadObserver) {
        observer.on_measure_start();
        let now_ns = self.context.read_clock();
        let end_ns = self.phases.begin_measuring(now_ns, &mut self.context.recorder);
        if let SendPolicy::Timetable(pace) = &mut self.context.policy {
            pace.end_at(end_ns);
        }
    }

    fn measured(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) {
        self.phases.end_measuring(now_ns, &mut self.context.recorder);
        observer.on_measure_end();
        // However late this is noticed: what was sent last has its full time to be answered, and what is due is due.
        let now_ns = self.context.read_clock();
        self.phases.enter(LoadPhase::Finishing, now_ns);
        if let SendPolicy::Timetable(pace) = &mut self.context.policy {
            pace.advance(now_ns);
        }
        self.connect_queue.clear();
        self.context.finishing = true;
        if let SendPolicy::Keep(_) = self.context.policy {
            self.context.policy = SendPolicy::Nothing;
        }
        // Once more, in case something lies unread.
        self.again.extend(self.clients.keys());
    }

    /// Whether all that was sent is accounted for, and has been for a while, or will never be.
    fn is_over(&mut self, now_ns: u64) -> bool {
        // A tick longer, because that is when messages are given up.
        if self.phases.elapsed(now_ns) >= self.config.answer_timeout + SAMPLE {
            return true;
        }
        let due = if let SendPolicy::Timetable(pace) = &self.context.policy { pace.due } else { 0 };
        let settled =
            |client: &EchoClient| client.is_settled(&self.context) && (client.never_reads() || client.next >= due);
        if !self.clients.iter().all(|(_, client)| settled(client)) {
            self.settled_ns = None;
            return false;
        }
        let since_ns = *self.settled_ns.get_or_insert(now_ns);
        now_ns - since_ns >= nanos(LISTEN_ON)
    }

    fn progress(&self, now_ns: u64) -> LoadProgress {
        let part = |whole| self.phases.fraction(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a part of a whole")]
        let done = match self.phases.phase {
            LoadPhase::Connecting => 1.0 - self.undecided as f64 / self.slots.len().max(1) as f64,
            LoadPhase::WarmingUp => part(self.config.warm_up),
            LoadPhase::Measuring => part(self.config.duration),
            LoadPhase::Finishing => part(self.config.answer_timeout),
        };
        let (phase, connections) = (self.phases.phase, self.connections());
        LoadProgress {
            phase,
            done,
            connections,
            last_sample: self.context.recorder.samples.last().copied(),
            faults: self.context.recorder.faults,
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.clients.iter().filter(|(_, client)| !client.is_connecting() && !client.never_reads()).count()
    }

    pub(super) fn outcome(mut self) -> LoadOutcome {
        let connections = self.connections();
        let (due, unanswered) = self.settle_timetable();
        if self.phases.phase == LoadPhase::Finishing {
            let leftovers = self.clients.iter().filter(|(_, client)| client.has_leftover()).count();
            self.context.recorder.faults.corrupted += leftovers as u64;
        }
        let recorder = &mut self.context.recorder;
        if recorder.has_part() && !recorder.samples.is_empty() {
            // Answers that came after the measured time.
            recorder.take_sample(self.context.now_ns);
        }
        recorder.settle();
        let (elapsed, generator) = self.phases.generator_stats(recorder);
        let recorder = self.context.recorder;
        LoadOutcome {
            activity: self.config.activity,
            elapsed,
            messages: recorder.messages,
            answered: recorder.answered,
            bytes: recorder.bytes,
            due,
            unanswered,
            latency: recorder.latency,
            connects: recorder.connects,
            connecting: Duration::from_nanos(self.connecting_ns),
            connections,
            cut_off: self.cut_off,
            faults: recorder.faults,
            samples: recorder.samples,
            generator,
        }
    }

    /// Open loop: how many messages were due in the measured time, and how many of them have neither been answered nor lost. How
    /// long these, and the lost, have waited by now counts as their latency, or the worst would be left out.
    fn settle_timetable(&mut self) -> (u64, u64) {
        let SendPolicy::Timetable(pace) = &self.context.policy else { return (0, 0) };
        let (window, now_ns) = (self.context.recorder.window().clone(), self.context.now_ns);
        let first = pace.first_due(window.start);
        let due = pace.due.saturating_sub(first);
        if self.phases.phase != LoadPhase::Finishing {
            return (due, 0);
        }
        let recorder = &mut self.context.recorder;
        let mut unanswered = 0;
        for (_, client) in self.clients.iter() {
            unanswered += client.in_flight().unanswered().filter(|sent| recorder.waited(**sent, now_ns)).count() as u64;
            client.in_flight().given_up().for_each(|sent| _ = recorder.waited(*sent, now_ns));
        }
        for (number, line) in self.slots.iter().take(self.config.connections).enumerate() {
            let next = line.key.and_then(|key| self.clients.get(key)).map_or(line.next, |client| client.next);
            let next = next.max(pace.first_of(number as u64, first));
            if let Some((last, unsent)) = pace.until_due(next) {
                recorder.waited_in_steps(now_ns.saturating_sub(pace.due_ns(last)), pace.step_ns(), unsent, 1);
                unanswered += unsent;
            }
        }
        (due, unanswered)
    }
}
