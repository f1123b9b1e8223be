//! The changes from one phase of a run to the next, the progress reports, and the outcome.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::config::Activity;
use super::driver::LoadDriver;
use super::error::LoadError;
use super::observer::{LoadObserver, LoadProgress};
use super::outcome::LoadOutcome;
use super::pace::{SendPolicy, SendSchedule};
use super::phases::{LISTEN_ON, LoadPhase, nanos};
use super::recorder::SAMPLE;
use super::workload::{RunEnding, Workload};

/// The time by which the end of an answer timeout may be noticed late: a tick may just have passed,
/// and the tick after it counts from the poll before.
const EXPIRY_DELAY: Duration = SAMPLE.saturating_mul(3);

impl<W: Workload> LoadDriver<'_, W> {
    /// Enters the next phase if it is time, and takes the samples and ticks that are due. Returns
    /// [`ControlFlow::Break`] at the end of the run.
    pub(super) fn advance(&mut self, observer: &mut dyn LoadObserver) -> Result<ControlFlow<()>, LoadError> {
        let now_ns = self.context.read_clock();
        if self.phases.is_sample_due(now_ns) {
            self.add_faults();
            self.phases.take_sample(now_ns, &mut self.context.recorder);
        }
        if self.phases.take_tick(now_ns) {
            self.expire()?;
            self.add_faults();
            if observer.on_progress(&self.progress(now_ns)).is_break() {
                if self.phases.phase == LoadPhase::Measuring {
                    self.end_measuring(now_ns, observer);
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.phases.phase {
            LoadPhase::Connecting if self.connections.unresolved == 0 && self.is_accepted() => {
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

    /// Adds the faults that the workload has counted to the recorder's, for samples and reports.
    fn add_faults(&mut self) {
        self.context.recorder.faults = self.workload.faults(self.context.recorder.faults);
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
        !needs_exchange || self.all_done()
    }

    fn all_done(&self) -> bool {
        self.connections.iter().all(|connection| connection.is_slow_reader || self.workload.is_done(connection))
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
        let senders = self.workload.start(&self.connections);
        self.connections.set_senders(senders);
        self.set_send_policy();
        self.runnable.extend(self.connections.keys());
        Ok(())
    }

    /// Sets what connections send in the current phase.
    pub(super) fn set_send_policy(&mut self) {
        let is_connecting = self.phases.phase == LoadPhase::Connecting;
        self.context.send_policy = match self.config.activity {
            // A full load would keep the server from accepting the remaining connections. With a
            // ramp, that is what the caller wants to measure.
            Activity::Closed { .. } if is_connecting && self.config.ramp.is_zero() => SendPolicy::Once,
            Activity::Closed { in_flight } => SendPolicy::KeepInFlight(in_flight),
            Activity::Open { .. } if is_connecting || self.connections.senders.is_empty() => SendPolicy::Paused,
            Activity::Open { rate } => {
                let mut schedule = SendSchedule::new(self.context.now_ns, rate, self.connections.senders.len());
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
        self.add_faults();
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
        self.runnable.extend(self.connections.keys());
    }

    /// Returns true if every message has been answered or given up and [`LISTEN_ON`] has passed
    /// since, or if a timeout is over.
    fn is_over(&mut self, now_ns: u64) -> bool {
        let longest = self.config.reply_timeout.saturating_mul(W::MAX_FINISHING_TIMEOUTS).saturating_add(EXPIRY_DELAY);
        if self.is_stuck() || self.phases.elapsed(now_ns) >= longest {
            return true;
        }
        let due_count = match &self.context.send_policy {
            SendPolicy::Scheduled(schedule) => schedule.due_count,
            _ => 0,
        };
        let all_sent = self.connections.iter().all(|connection| connection.next_number >= due_count);
        if !(all_sent && self.all_done() && self.workload.is_complete(&self.connections)) {
            self.done_since_ns = None;
            return false;
        }
        let since_ns = *self.done_since_ns.get_or_insert(now_ns);
        now_ns - since_ns >= nanos(LISTEN_ON)
    }

    /// Last phase: returns true if the workload has made no progress for the answer timeout.
    fn is_stuck(&self) -> bool {
        self.workload.last_progress_ns().is_some_and(|progress_ns| {
            let since_ns = progress_ns.max(self.phases.began_ns());
            self.handled_until_ns.saturating_sub(since_ns) >= nanos(self.config.reply_timeout)
        })
    }

    fn progress(&self, now_ns: u64) -> LoadProgress {
        let fraction = |whole| self.phases.fraction(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a fraction")]
        let done = match self.phases.phase {
            LoadPhase::Connecting => 1.0 - self.connections.unresolved as f64 / self.connections.slots().max(1) as f64,
            LoadPhase::WarmingUp => fraction(self.config.warm_up),
            LoadPhase::Measuring => fraction(self.config.duration),
            LoadPhase::Finishing => fraction(self.config.reply_timeout),
        };
        LoadProgress {
            phase: self.phases.phase,
            done,
            connections: self.connections.established(),
            last_sample: self.context.recorder.samples.last().copied(),
            faults: self.context.recorder.faults,
        }
    }

    pub(super) fn outcome(mut self) -> LoadOutcome<W::Outcome> {
        let is_measured = self.phases.phase == LoadPhase::Finishing;
        let is_final = is_measured && (self.done_since_ns.is_some() || self.is_stuck());
        let due = match &self.context.send_policy {
            SendPolicy::Scheduled(schedule) => {
                schedule.due_count.saturating_sub(schedule.first_due_at(self.context.recorder.window().start))
            }
            _ => 0,
        };
        let ending = RunEnding { is_measured, is_final };
        let unanswered = self.workload.finish(ending, &self.connections, &mut self.context);
        self.add_faults();
        let mut recorder = self.context.recorder;
        if recorder.has_unsampled() && !recorder.samples.is_empty() {
            // Answers that arrived after the measured time.
            recorder.take_sample(self.context.now_ns);
        }
        recorder.merge_interval();
        let (elapsed, generator) = self.phases.generator_stats(&recorder);
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
            connections: self.connections.established(),
            cut_off: self.cut_off,
            faults: recorder.faults,
            samples: recorder.samples,
            generator,
            workload: self.workload.into_outcome(recorder.faults),
        }
    }
}
