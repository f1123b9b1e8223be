//! The changes from one phase of a run to the next, the progress reports, and the outcome.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::delivery_checker::{Outstanding, ViolationSite};
use super::driver::ChatDriver;
use super::faults::DeliveryViolation;
use super::member_client::MemberClient;
use super::outcome::ChatOutcome;
use super::publisher_rotation::PublisherRotation;
use super::run_context::ChatSendPolicy;
use crate::load::config::Activity;
use crate::load::end::ConnectionEnd;
use crate::load::error::LoadError;
use crate::load::in_flight::SentMessage;
use crate::load::observer::{LoadObserver, LoadProgress};
use crate::load::outcome::LoadOutcome;
use crate::load::pace::SendSchedule;
use crate::load::phases::{LISTEN_ON, LoadPhase, nanos};
use crate::services::chat::wire::LOBBY;

/// Length of the last phase in answer timeouts. A server that still delivers then is not waited for
/// any longer.
const MAX_FINISHING_TIMEOUTS: u32 = 12;

impl ChatDriver<'_> {
    /// Enters the next phase if it is time, and takes the samples and ticks that are due. Returns
    /// [`ControlFlow::Break`] at the end of the run.
    pub(super) fn advance(&mut self, observer: &mut dyn LoadObserver) -> Result<ControlFlow<()>, LoadError> {
        let now_ns = self.context.traffic.read_clock();
        if self.phases.is_sample_due(now_ns) {
            self.copy_faults();
            self.phases.take_sample(now_ns, &mut self.context.traffic.recorder);
        }
        if self.phases.take_tick(now_ns) {
            self.expire()?;
            self.context.traffic.checker.trim_logs();
            self.copy_faults();
            let progress = self.progress(now_ns);
            if observer.on_progress(&progress).is_break() {
                if self.phases.phase == LoadPhase::Measuring {
                    self.end_measuring(now_ns, observer);
                    // Outstanding deliveries were not awaited, so they are not missing.
                    self.done_since_ns = None;
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.phases.phase {
            LoadPhase::Connecting if self.unresolved == 0 => self.end_connecting(now_ns, observer)?,
            LoadPhase::WarmingUp if self.phases.is_warm(now_ns) => self.begin_measuring(observer),
            LoadPhase::Measuring if now_ns >= self.context.traffic.recorder.window().end => {
                self.end_measuring(now_ns, observer);
            }
            _ => {}
        }
        let is_over = self.phases.phase == LoadPhase::Finishing && self.is_over(now_ns);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Gives up messages and joins that have lasted longer than the answer timeout.
    fn expire(&mut self) -> Result<(), LoadError> {
        let Some(overdue_ns) = self.handled_until_ns.checked_sub(nanos(self.config.reply_timeout)) else {
            return Ok(());
        };
        if let ChatSendPolicy::RoundRobin(rotation) = &mut self.context.traffic.send_policy {
            rotation.expire(overdue_ns);
        }
        if self.phases.phase == LoadPhase::Connecting {
            let is_late = |member: &MemberClient| !member.has_joined() && member.joining_ns(overdue_ns) > 0;
            let late: Vec<_> = self.members.iter().filter(|(_, member)| is_late(member)).map(|(key, _)| key).collect();
            for key in late {
                let error =
                    io::Error::new(io::ErrorKind::TimedOut, "join timeout: the server did not complete a join in time");
                self.handle_end(key, ConnectionEnd::Refused(error))?;
            }
        }
        Ok(())
    }

    fn end_connecting(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) -> Result<(), LoadError> {
        if self.context.traffic.checker.members() == 0 {
            let error = self.last_connect_error.take().unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
            return Err(LoadError::Connect(error));
        }
        self.joining_ns = now_ns;
        self.phases.enter(LoadPhase::WarmingUp, now_ns);
        if self.config.warm_up.is_zero() {
            self.begin_measuring(observer);
        }
        self.set_send_policy();
        Ok(())
    }

    fn set_send_policy(&mut self) {
        let members = || self.keys.iter().enumerate().filter(|(_, key)| key.is_some()).map(|(number, _)| number);
        self.publishers = members().take_while(|member| *member < self.config.publishers).collect();
        let traffic = &mut self.context.traffic;
        traffic.send_policy = match self.config.activity {
            Activity::Closed { in_flight } => {
                let publishers = self.publishers.iter().copied();
                let rotation = PublisherRotation::new(self.config.rooms, members(), publishers, in_flight);
                ChatSendPolicy::RoundRobin(rotation)
            }
            Activity::Open { rate } if !self.publishers.is_empty() => {
                let mut schedule = SendSchedule::new(traffic.now_ns, rate, self.publishers.len());
                schedule.set_end(traffic.recorder.window().end);
                ChatSendPolicy::Scheduled(schedule)
            }
            _ => ChatSendPolicy::Paused,
        };
        for (place, publisher) in self.publishers.iter().enumerate() {
            let key = self.keys.get(*publisher).copied().flatten();
            if let Some(member) = key.and_then(|key| self.members.get_mut(key)) {
                member.next_number = place as u64;
            }
        }
    }

    fn begin_measuring(&mut self, observer: &mut dyn LoadObserver) {
        observer.on_measure_start();
        let traffic = &mut self.context.traffic;
        let now_ns = traffic.read_clock();
        let end_ns = self.phases.begin_measuring(now_ns, &mut traffic.recorder);
        if let ChatSendPolicy::Scheduled(schedule) = &mut traffic.send_policy {
            schedule.set_end(end_ns);
        }
    }

    fn end_measuring(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) {
        self.copy_faults();
        let traffic = &mut self.context.traffic;
        self.phases.end_measuring(now_ns, &mut traffic.recorder);
        observer.on_measure_end();
        // The clock is read again, because the end may be noticed late: the last message has the
        // full answer timeout.
        let now_ns = traffic.read_clock();
        self.phases.enter(LoadPhase::Finishing, now_ns);
        traffic.last_progress_ns = now_ns;
        // A schedule stays, because every message due until the end is sent.
        if let ChatSendPolicy::RoundRobin(_) = traffic.send_policy {
            traffic.send_policy = ChatSendPolicy::Paused;
        }
    }

    /// Returns true if every delivery has arrived and [`LISTEN_ON`] has passed since, or if a
    /// timeout is over.
    fn is_over(&mut self, now_ns: u64) -> bool {
        if self.is_stuck() || self.phases.elapsed(now_ns) >= self.config.reply_timeout * MAX_FINISHING_TIMEOUTS {
            return true;
        }
        if !self.is_done() {
            self.done_since_ns = None;
            return false;
        }
        self.done_since_ns.get_or_insert(now_ns);
        self.finished_ns().is_some_and(|finished_ns| now_ns >= finished_ns)
    }

    /// Returns true if every due message has been sent and delivered to every member.
    fn is_done(&self) -> bool {
        let due_count = match &self.context.traffic.send_policy {
            ChatSendPolicy::Scheduled(schedule) => schedule.due_count,
            _ => 0,
        };
        let all_sent = self.members.iter().all(|(_, member)| member.next_number >= due_count);
        all_sent && self.context.traffic.checker.is_complete(|publisher| self.sent_by(publisher).unwrap_or(0))
    }

    /// Returns how many messages a publisher has sent; `None` if it is not connected.
    fn sent_by(&self, publisher: usize) -> Option<u64> {
        let key = self.keys.get(publisher).copied().flatten()?;
        self.members.get(key).map(|member| member.sent)
    }

    /// Returns the end of the last phase, if every delivery has arrived. It is [`LISTEN_ON`] later,
    /// because a duplicate follows its original.
    pub(super) fn finished_ns(&self) -> Option<u64> {
        self.done_since_ns.map(|since_ns| since_ns + nanos(LISTEN_ON))
    }

    /// Copies the checker's fault counts to the recorder, for samples and progress reports.
    fn copy_faults(&mut self) {
        self.context.traffic.recorder.faults = self.context.traffic.checker.faults.summary();
    }

    fn progress(&self, now_ns: u64) -> LoadProgress {
        let fraction = |whole| self.phases.fraction(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a fraction")]
        let done = match self.phases.phase {
            LoadPhase::Connecting => 1.0 - self.unresolved as f64 / self.config.members.max(1) as f64,
            LoadPhase::WarmingUp => fraction(self.config.warm_up),
            LoadPhase::Measuring => fraction(self.config.duration),
            LoadPhase::Finishing => fraction(self.config.reply_timeout),
        };
        LoadProgress {
            phase: self.phases.phase,
            done,
            connections: self.context.traffic.checker.members(),
            last_sample: self.context.traffic.recorder.samples.last().copied(),
            faults: self.context.traffic.recorder.faults,
        }
    }

    pub(super) fn outcome(mut self) -> LoadOutcome<ChatOutcome> {
        let is_final = self.phases.phase == LoadPhase::Finishing && (self.done_since_ns.is_some() || self.is_stuck());
        let sent: Vec<_> = (0..self.config.publishers).map(|publisher| self.sent_by(publisher)).collect();
        let mut outstanding =
            self.context.traffic.checker.finish(is_final, |publisher| sent.get(publisher).copied().flatten());
        let due = self.close_schedule(&mut outstanding);
        self.copy_faults();
        let traffic = self.context.traffic;
        let mut recorder = traffic.recorder;
        if recorder.has_unsampled() && !recorder.samples.is_empty() {
            // Deliveries that arrived after the measured time.
            recorder.take_sample(traffic.now_ns);
        }
        recorder.merge_interval();
        let (elapsed, generator) = self.phases.generator_stats(&recorder);
        let violation = |ViolationSite { kind, member, room, id }: ViolationSite| {
            let room = traffic.rooms.get(room).map_or(LOBBY, String::as_str).to_owned();
            DeliveryViolation { kind, member, room, id }
        };
        LoadOutcome {
            activity: self.config.activity,
            elapsed,
            messages: recorder.messages,
            answered: recorder.answered,
            bytes: recorder.bytes,
            due,
            unanswered: outstanding.deliveries,
            latency: recorder.latency,
            connects: recorder.connects,
            connecting: Duration::from_nanos(self.joining_ns),
            connections: traffic.checker.members(),
            cut_off: 0,
            faults: recorder.faults,
            samples: recorder.samples,
            generator,
            workload: ChatOutcome {
                sent: traffic.sent,
                ids: traffic.checker.ids(),
                received: traffic.checker.received,
                faults: traffic.checker.faults,
                violations: traffic.checker.violations.iter().copied().map(violation).collect(),
                server_errors: traffic.server_errors,
            },
        }
    }

    /// Open loop: returns the number of messages due in the measured time. Records the waiting time
    /// of outstanding deliveries as their latency: without them the outcome would omit the worst
    /// latencies. Deliveries of messages that were due and not sent are outstanding, too.
    fn close_schedule(&mut self, outstanding: &mut Outstanding) -> u64 {
        let traffic = &mut self.context.traffic;
        let ChatSendPolicy::Scheduled(schedule) = &traffic.send_policy else { return 0 };
        let (window, now_ns, rooms) = (traffic.recorder.window().clone(), traffic.now_ns, self.config.rooms);
        let first = schedule.first_due_at(window.start);
        for (due_ns, members) in std::mem::take(&mut outstanding.partly_delivered) {
            traffic.recorder.record_waits(SentMessage { due_ns, sent_ns: due_ns }, now_ns, members);
        }
        for (place, publisher) in (0..).zip(&self.publishers) {
            let members = traffic.checker.members_of(publisher % rooms.max(1));
            let delivered = traffic.checker.delivered_of(*publisher);
            let undelivered = delivered.saturating_mul(schedule.connections).saturating_add(place);
            let first = undelivered.max(schedule.first_on_connection(place, first));
            if let Some((last, count)) = schedule.due_from(first) {
                let shortest_ns = now_ns.saturating_sub(schedule.due_ns(last));
                let step_ns = schedule.connection_interval_ns();
                traffic.recorder.record_wait_series(shortest_ns, step_ns, count, members);
            }
            let member = self.keys.get(*publisher).copied().flatten().and_then(|key| self.members.get(key));
            if let Some((_, unsent)) = member.and_then(|member| schedule.due_from(member.next_number)) {
                outstanding.deliveries = outstanding.deliveries.saturating_add(unsent.saturating_mul(members));
            }
        }
        schedule.due_count.saturating_sub(first)
    }
}
