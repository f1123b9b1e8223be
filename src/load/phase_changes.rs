//! The changes from one phase of a run to the next, the progress reports, and the outcome.

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
    /// Enters the next phase if it is time, and takes the samples and ticks that are due. Returns
    /// [`ControlFlow::Break`] at the end of the run.
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
                    self.end_measuring(now_ns, observer);
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.phases.phase {
            LoadPhase::Connecting if self.unresolved == 0 && self.is_accepted() => {
                self.end_connecting(now_ns, observer)?;
            }
            LoadPhase::WarmingUp if self.phases.is_warm(now_ns) => self.begin_measuring(observer),
            LoadPhase::Measuring if now_ns >= self.context.recorder.window().end => {
                self.end_measuring(now_ns, observer);
            }
            _ => {}
        }
        let is_over = self.phases.phase == LoadPhase::Finishing && self.is_over(now_ns);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Returns true if the server has accepted every connection, as far as the activity requires
    /// it: a closed loop and idle connections wait for one exchange on each connection. A
    /// connection without an exchange may still be in the backlog. A server that is short of
    /// processor time accepts it much later, and would be measured with a part of its load.
    fn is_accepted(&self) -> bool {
        let needs_exchange = match self.config.activity {
            Activity::Idle => true,
            Activity::Closed { .. } => self.config.ramp.is_zero(),
            Activity::Open { .. } | Activity::Churn => false,
        };
        !needs_exchange || self.clients.iter().all(|(_, client)| client.is_done(&self.context))
    }

    fn end_connecting(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) -> Result<(), LoadError> {
        if !self.ever_connected {
            let error = self.last_connect_error.take().unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
            return Err(LoadError::Connect(error));
        }
        self.connecting_ns = now_ns;
        self.phases.enter(LoadPhase::WarmingUp, now_ns);
        if self.config.warm_up.is_zero() {
            self.begin_measuring(observer);
        }
        self.set_send_policy();
        self.runnable.extend(self.clients.keys());
        Ok(())
    }

    /// Sets what connections send in the current phase.
    pub(super) fn set_send_policy(&mut self) {
        self.context.send_policy = match self.config.activity {
            // A full load would keep the server from accepting the remaining connections. With a
            // ramp, that is what the caller wants to measure.
            Activity::Closed { .. } if self.phases.phase == LoadPhase::Connecting && self.config.ramp.is_zero() => {
                SendPolicy::Once
            }
            Activity::Closed { in_flight } => SendPolicy::KeepInFlight(in_flight),
            Activity::Open { .. } if self.phases.phase == LoadPhase::Connecting => SendPolicy::Paused,
            Activity::Open { rate } => {
                let mut schedule = SendSchedule::new(self.context.now_ns, rate, self.config.connections);
                schedule.set_end(self.context.recorder.window().end);
                SendPolicy::Scheduled(schedule)
            }
            Activity::Churn | Activity::Idle => SendPolicy::Once,
        };
    }

    fn begin_measuring(&mut self, observer: &mut dyn LoadObserver) {
        observer.on_measure_start();
        let now_ns = self.context.read_clock();
        let end_ns = self.phases.begin_measuring(now_ns, &mut self.context.recorder);
        if let SendPolicy::Scheduled(schedule) = &mut self.context.send_policy {
            schedule.set_end(end_ns);
        }
    }

    fn end_measuring(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) {
        self.phases.end_measuring(now_ns, &mut self.context.recorder);
        observer.on_measure_end();
        // The clock is read again, because the end may be noticed late: the last message has the
        // full answer timeout, and every message due until the end is sent.
        let now_ns = self.context.read_clock();
        self.phases.enter(LoadPhase::Finishing, now_ns);
        if let SendPolicy::Scheduled(schedule) = &mut self.context.send_policy {
            schedule.advance(now_ns);
        }
        self.connect_queue.clear();
        self.context.is_finishing = true;
        if let SendPolicy::KeepInFlight(_) = self.context.send_policy {
            self.context.send_policy = SendPolicy::Paused;
        }
        // One more step for each, because datagrams may be waiting unread.
        self.runnable.extend(self.clients.keys());
    }

    /// Returns true if every message has been answered or given up and [`LISTEN_ON`] has passed
    /// since, or if the answer timeout is over.
    fn is_over(&mut self, now_ns: u64) -> bool {
        // One tick longer than the timeout, because messages are given up at a tick.
        if self.phases.elapsed(now_ns) >= self.config.reply_timeout + SAMPLE {
            return true;
        }
        let due_count = match &self.context.send_policy {
            SendPolicy::Scheduled(schedule) => schedule.due_count,
            _ => 0,
        };
        let is_done = |client: &EchoClient| {
            client.is_done(&self.context) && (client.is_slow_reader() || client.next_number >= due_count)
        };
        if !self.clients.iter().all(|(_, client)| is_done(client)) {
            self.done_since_ns = None;
            return false;
        }
        let since_ns = *self.done_since_ns.get_or_insert(now_ns);
        now_ns - since_ns >= nanos(LISTEN_ON)
    }

    fn progress(&self, now_ns: u64) -> LoadProgress {
        let fraction = |whole| self.phases.fraction(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a fraction")]
        let done = match self.phases.phase {
            LoadPhase::Connecting => 1.0 - self.unresolved as f64 / self.slots.len().max(1) as f64,
            LoadPhase::WarmingUp => fraction(self.config.warm_up),
            LoadPhase::Measuring => fraction(self.config.duration),
            LoadPhase::Finishing => fraction(self.config.reply_timeout),
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

    /// Returns the number of open connections, without slow readers.
    fn connections(&self) -> usize {
        self.clients.iter().filter(|(_, client)| !client.is_connecting() && !client.is_slow_reader()).count()
    }

    pub(super) fn outcome(mut self) -> LoadOutcome {
        let connections = self.connections();
        let (due, unanswered) = self.close_schedule();
        if self.phases.phase == LoadPhase::Finishing {
            let unmatched = self.clients.iter().filter(|(_, client)| client.has_unmatched_bytes()).count();
            self.context.recorder.faults.corrupted += unmatched as u64;
        }
        let recorder = &mut self.context.recorder;
        if recorder.has_unsampled() && !recorder.samples.is_empty() {
            // Answers that arrived after the measured time.
            recorder.take_sample(self.context.now_ns);
        }
        recorder.merge_interval();
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
            workload: (),
        }
    }

    /// Open loop: returns the number of messages due in the measured time, and the number of those
    /// neither answered nor lost. Records the waiting time of the unanswered and the lost messages
    /// as their latency: without them the outcome would omit the worst latencies.
    fn close_schedule(&mut self) -> (u64, u64) {
        let SendPolicy::Scheduled(schedule) = &self.context.send_policy else { return (0, 0) };
        let (window, now_ns) = (self.context.recorder.window().clone(), self.context.now_ns);
        let first = schedule.first_due_at(window.start);
        let due = schedule.due_count.saturating_sub(first);
        if self.phases.phase != LoadPhase::Finishing {
            return (due, 0);
        }
        let recorder = &mut self.context.recorder;
        let mut unanswered = 0;
        for (_, client) in self.clients.iter() {
            let in_flight = client.in_flight();
            unanswered += in_flight.unanswered().filter(|sent| recorder.record_wait(**sent, now_ns)).count() as u64;
            in_flight.given_up().for_each(|sent| _ = recorder.record_wait(*sent, now_ns));
        }
        for (index, slot) in self.slots.iter().take(self.config.connections).enumerate() {
            let client = slot.key.and_then(|key| self.clients.get(key));
            let next_number = client.map_or(slot.next_number, |client| client.next_number);
            let next_number = next_number.max(schedule.first_on_connection(index as u64, first));
            if let Some((last, unsent)) = schedule.due_from(next_number) {
                let shortest_ns = now_ns.saturating_sub(schedule.due_ns(last));
                recorder.record_wait_series(shortest_ns, schedule.connection_interval_ns(), unsent, 1);
                unanswered += unsent;
            }
        }
        (due, unanswered)
    }
}
