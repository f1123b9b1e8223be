//! The stages of a run: when it goes on to the next, what is told to whom, and what is left at the end.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::config::ChatActivity;
use super::delivery_checker::{Outstanding, ViolationSite};
use super::driver::ChatDriver;
use super::faults::DeliveryViolation;
use super::outcome::ChatOutcome;
use super::publisher_rotation::PublisherRotation;
use super::run_context::ChatSendPolicy;
use crate::load::end::ConnectionEnd;
use crate::load::error::LoadError;
use crate::load::in_flight::SentMessage;
use crate::load::observer::{LoadObserver, LoadProgress};
use crate::load::pace::SendSchedule;
use crate::load::phases::{LISTEN_ON, LoadPhase, nanos};
use crate::services::chat::wire::LOBBY;

/// A server that is still at work so many answer timeouts after the last message is not waited for any longer.
const MAX_FINISHING: u32 = 12;

impl ChatDriver<'_> {
    /// Goes on to the next stage when it is time, and does what is done ten times a second.
    pub(super) fn advance(&mut self, observer: &mut dyn LoadObserver) -> Result<ControlFlow<()>, LoadError> {
        let now_ns = self.context.traffic.read_clock();
        if self.phases.is_sample_due(now_ns) {
            self.tell_faults();
            self.phases.take_sample(now_ns, &mut self.context.traffic.recorder);
        }
        if self.phases.take_tick(now_ns) {
            self.expire()?;
            self.context.traffic.checker.trim();
            self.tell_faults();
            let progress = self.progress(now_ns);
            if observer.on_progress(&progress).is_break() {
                if self.phases.phase == LoadPhase::Measuring {
                    self.measured(now_ns, observer);
                    // What never came was not waited for.
                    self.settled_ns = None;
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.phases.phase {
            LoadPhase::Connecting if self.undecided == 0 => self.joined(now_ns, observer)?,
            LoadPhase::WarmingUp if self.phases.is_warm(now_ns) => self.begin_measuring(observer),
            LoadPhase::Measuring if now_ns >= self.context.traffic.recorder.window().end => {
                self.measured(now_ns, observer)
            }
            _ => {}
        }
        let is_over = self.phases.phase == LoadPhase::Finishing && self.is_over(now_ns);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Gives up what has taken too long.
    fn expire(&mut self) -> Result<(), LoadError> {
        let Some(overdue_ns) = self.seen_ns.checked_sub(nanos(self.config.answer_timeout)) else { return Ok(()) };
        if let ChatSendPolicy::PublisherRotation(rotation) = &mut self.context.traffic.policy {
            rotation.expire(overdue_ns);
        }
        if self.phases.phase == LoadPhase::Connecting {
            let waits =
                |member: &super::member_client::MemberClient| !member.is_ready() && member.joining_ns(overdue_ns) > 0;
            let late: Vec<_> = self.members.iter().filter(|(_, member)| waits(member)).map(|(key, _)| key).collect();
            for key in late {
                let why =
                    io::Error::new(io::ErrorKind::TimedOut, "the server did not let a member into its room in time");
                self.end(key, ConnectionEnd::Refused(why))?;
            }
        }
        Ok(())
    }

    /// Everybody is in who gets in.
    fn joined(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) -> Result<(), LoadError> {
        if self.context.traffic.checker.members() == 0 {
            let error = self.last_refusal.take().unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
            return Err(LoadError::Connect(error));
        }
        self.joining_ns = now_ns;
        self.phases.enter(LoadPhase::WarmingUp, now_ns);
        if self.config.warm_up.is_zero() {
            self.begin_measuring(observer);
        }
        self.give_orders();
        Ok(())
    }

    fn give_orders(&mut self) {
        let members = || self.keys.iter().enumerate().filter(|(_, key)| key.is_some()).map(|(number, _)| number);
        self.publishers = members().take_while(|member| *member < self.config.publishers).collect();
        let traffic = &mut self.context.traffic;
        traffic.policy = match self.config.activity {
            ChatActivity::Closed { in_flight } => {
                let publishers = self.publishers.iter().copied();
                ChatSendPolicy::PublisherRotation(PublisherRotation::new(
                    self.config.rooms,
                    members(),
                    publishers,
                    in_flight,
                ))
            }
            ChatActivity::Open { rate } if !self.publishers.is_empty() => {
                let mut pace = SendSchedule::new(traffic.now_ns, rate, self.publishers.len());
                pace.end_at(traffic.recorder.window().end);
                ChatSendPolicy::Timetable(pace)
            }
            ChatActivity::Open { .. } | ChatActivity::Idle => ChatSendPolicy::Nothing,
        };
        for (place, publisher) in self.publishers.iter().enumerate() {
            let key = self.keys.get(*publisher).copied().flatten();
            if let Some(member) = key.and_then(|key| self.members.get_mut(key)) {
                member.next = place as u64;
            }
        }
    }

    fn begin_measuring(&mut self, observer: &mut dyn LoadObserver) {
        observer.on_measure_start();
        let traffic = &mut self.context.traffic;
        let now_ns = traffic.read_clock();
        let end_ns = self.phases.begin_measuring(now_ns, &mut traffic.recorder);
        if let ChatSendPolicy::Timetable(pace) = &mut traffic.policy {
            pace.end_at(end_ns);
        }
    }

    fn measured(&mut self, now_ns: u64, observer: &mut dyn LoadObserver) {
        self.tell_faults();
        let traffic = &mut self.context.traffic;
        self.phases.end_measuring(now_ns, &mut traffic.recorder);
        observer.on_measure_end();
        // However late this is noticed: what was said last has its full time to come.
        let now_ns = traffic.read_clock();
        self.phases.enter(LoadPhase::Finishing, now_ns);
        traffic.moved_ns = now_ns;
        // What is due by a timetable is due all the same.
        if let ChatSendPolicy::PublisherRotation(_) = traffic.policy {
            traffic.policy = ChatSendPolicy::Nothing;
        }
    }

    /// Whether all that was said has come to all, and nothing more has come for a while, or nothing more will.
    fn is_over(&mut self, now_ns: u64) -> bool {
        if self.is_stuck() || self.phases.elapsed(now_ns) >= self.config.answer_timeout * MAX_FINISHING {
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
        let due = if let ChatSendPolicy::Timetable(pace) = &self.context.traffic.policy { pace.due } else { 0 };
        let all_said = self.members.iter().all(|(_, member)| member.next >= due);
        all_said && self.context.traffic.checker.is_settled(|publisher| self.said(publisher).unwrap_or(0))
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
        self.context.traffic.recorder.faults = self.context.traffic.checker.faults.brief();
    }

    fn progress(&self, now_ns: u64) -> LoadProgress {
        let part = |whole| self.phases.fraction(now_ns, whole);
        #[allow(clippy::cast_precision_loss, reason = "a part of a whole")]
        let done = match self.phases.phase {
            LoadPhase::Connecting => 1.0 - self.undecided as f64 / self.config.members.max(1) as f64,
            LoadPhase::WarmingUp => part(self.config.warm_up),
            LoadPhase::Measuring => part(self.config.duration),
            LoadPhase::Finishing => part(self.config.answer_timeout),
        };
        LoadProgress {
            phase: self.phases.phase,
            done,
            connections: self.context.traffic.checker.members(),
            last_sample: self.context.traffic.recorder.samples.last().copied(),
            faults: self.context.traffic.recorder.faults,
        }
    }

    pub(super) fn outcome(mut self) -> ChatOutcome {
        let is_quiet = self.phases.phase == LoadPhase::Finishing && (self.settled_ns.is_some() || self.is_stuck());
        let said: Vec<_> = (0..self.config.publishers).map(|publisher| self.said(publisher)).collect();
        let mut waited =
            self.context.traffic.checker.close(is_quiet, |publisher| said.get(publisher).copied().flatten());
        let due = self.settle_timetable(&mut waited);
        self.tell_faults();
        let traffic = self.context.traffic;
        let mut recorder = traffic.recorder;
        if recorder.has_part() && !recorder.samples.is_empty() {
            // Deliveries that came after the measured time.
            recorder.take_sample(traffic.now_ns);
        }
        recorder.settle();
        let (elapsed, generator) = self.phases.generator_stats(&recorder);
        let name = |ViolationSite { kind, member, room, id }: ViolationSite| {
            let room = traffic.rooms.get(room).map_or(LOBBY, String::as_str).to_owned();
            DeliveryViolation { kind, member, room, id }
        };
        ChatOutcome {
            activity: self.config.activity,
            elapsed,
            messages: traffic.said,
            due,
            deliveries: recorder.messages,
            delivered: recorder.answered,
            bytes: recorder.bytes,
            awaited: waited.deliveries,
            latency: recorder.latency,
            joins: recorder.connects,
            joining: Duration::from_nanos(self.joining_ns),
            members: traffic.checker.members(),
            ids: traffic.checker.ids(),
            received: traffic.checker.received,
            faults: traffic.checker.faults,
            violations: traffic.checker.named.iter().copied().map(name).collect(),
            server_errors: traffic.server_errors,
            samples: recorder.samples,
            generator,
        }
    }

    /// Open loop: how many messages were due in the measured time. How long deliveries that never came have been waited for by now
    /// counts as their latency, or the worst would be left out; those of messages that were not even said are awaited, too.
    fn settle_timetable(&mut self, waited: &mut Outstanding) -> u64 {
        let traffic = &mut self.context.traffic;
        let ChatSendPolicy::Timetable(pace) = &traffic.policy else { return 0 };
        let (window, now_ns, rooms) = (traffic.recorder.window().clone(), traffic.now_ns, self.config.rooms);
        let first = pace.first_due(window.start);
        for (due_ns, members) in std::mem::take(&mut waited.heard_of) {
            traffic.recorder.waited_by(SentMessage { due_ns, sent_ns: due_ns }, now_ns, members);
        }
        for (line, publisher) in (0..).zip(&self.publishers) {
            let members = traffic.checker.members_of(publisher % rooms.max(1));
            let unheard = traffic.checker.heard_of(*publisher).saturating_mul(pace.connections).saturating_add(line);
            if let Some((last, count)) = pace.until_due(unheard.max(pace.first_of(line, first))) {
                traffic.recorder.waited_in_steps(
                    now_ns.saturating_sub(pace.due_ns(last)),
                    pace.step_ns(),
                    count,
                    members,
                );
            }
            let member = self.keys.get(*publisher).copied().flatten().and_then(|key| self.members.get(key));
            if let Some((_, unsaid)) = member.and_then(|member| pace.until_due(member.next)) {
                waited.deliveries = waited.deliveries.saturating_add(unsaid.saturating_mul(members));
            }
        }
        pace.due.saturating_sub(first)
    }
}
