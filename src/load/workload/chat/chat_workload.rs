//! The workload of a chat load: the messages of its members, and the check of their deliveries. A
//! connection is established when its member has joined its room.

use std::{fmt, io};

use super::config::ChatLoadConfig;
use super::delivery_checker::{DeliveryChecker, ViolationSite};
use super::event_scanner::{self, Delivery};
use super::faults::{ChatFaults, DeliveryViolation, FaultKind};
use super::member_client::{JoinReplies, MemberClient};
use super::member_requests::MemberRequests;
use super::message_stamp::MessageStamp;
use super::outcome::{ChatOutcome, ServerError};
use super::publisher_rotation::PublisherRotation;
use super::room_log::MessageSource;
use crate::load::config::Activity;
use crate::load::connection::{ConnectionEnd, ConnectionResult, ConnectionState, LoadConnection};
use crate::load::connections::Connections;
use crate::load::outcome::Faults;
use crate::load::pace::SendPolicy;
use crate::load::recorder::Recorder;
use crate::load::run_context::RunContext;
use crate::load::workload::{RunEnding, Workload};
use crate::load::write_batch::WriteBatch;
use crate::services::chat::wire::ChatEvent;

/// Characters of a server's error text that are kept.
const MAX_TEXT_CHARS: usize = 200;

/// Server errors that are kept with their texts.
const MAX_SERVER_ERRORS: usize = 5;

/// The chat load. A member's number is its slot.
pub(super) struct ChatWorkload {
    activity: Activity,
    rooms: usize,
    publishers: usize,
    requests: MemberRequests,
    checker: DeliveryChecker,
    /// Closed loop: the publishers of each room send in turn.
    rotation: Option<PublisherRotation>,
    /// Closed loop: the messages that each publisher is to send now.
    to_send: Vec<usize>,
    /// Messages sent that were due in the measured time.
    sent: u64,
    server_errors: Vec<ServerError>,
    /// The time at which a member last joined its room or received a new message.
    last_progress_ns: u64,
}

impl ChatWorkload {
    pub(super) fn new(config: &ChatLoadConfig) -> Self {
        Self {
            activity: config.activity,
            rooms: config.rooms,
            publishers: config.publishers,
            requests: MemberRequests::new(config),
            checker: DeliveryChecker::new(config.members, config.rooms, config.publishers),
            rotation: None,
            to_send: vec![0; config.publishers],
            sent: 0,
            server_errors: Vec::new(),
            last_progress_ns: 0,
        }
    }
}

impl Workload for ChatWorkload {
    type Client = MemberClient;
    type Outcome = ChatOutcome;

    const RECONNECTS: bool = false;
    /// A server that still delivers then is not waited for any longer.
    const MAX_FINISHING_TIMEOUTS: u32 = 12;

    fn new_client(&mut self, _is_datagram: bool) -> MemberClient {
        MemberClient::new(&self.requests)
    }

    fn on_connected(
        &mut self,
        connection: &mut LoadConnection<MemberClient>,
        _context: &mut RunContext,
    ) -> ConnectionResult {
        let handshake = self.requests.handshake(connection.slot).map_err(ConnectionEnd::Refused)?;
        connection.output.append(&handshake);
        connection.state = ConnectionState::Handshaking;
        Ok(())
    }

    fn connect_timeout_error(&self) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, "join timeout: the server did not complete a join in time")
    }

    #[inline]
    fn on_input(
        &mut self,
        connection: &mut LoadConnection<MemberClient>,
        mut input: &[u8],
        context: &mut RunContext,
    ) -> ConnectionResult {
        let (member, now_ns) = (connection.slot, context.now_ns);
        loop {
            let has_joined = connection.is_established();
            let MemberClient { decoder, replies, .. } = &mut connection.client;
            let payload = match decoder.decode_with(&mut input, &mut context.buffer_pool) {
                Ok(Some(payload)) => payload,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.handle_garbled(member, &error);
                    return Err(ConnectionEnd::Garbled);
                }
            };
            // A member need not receive messages sent before its join is complete.
            let parsed = event_scanner::parse(payload, |delivery| {
                if has_joined {
                    self.handle_delivery(member, &delivery, &mut context.recorder, now_ns);
                }
            });
            match parsed {
                Ok(None) => {}
                Ok(Some(event)) => {
                    self.handle_chat_event(member, has_joined, replies, &event)?;
                    if !has_joined && *replies == JoinReplies::NONE {
                        connection.establish(context);
                        self.checker.add_member(member);
                        self.last_progress_ns = now_ns;
                    }
                }
                Err(error) => self.handle_garbled(member, &error),
            }
        }
    }

    fn fill_batch(
        &mut self,
        connection: &mut LoadConnection<MemberClient>,
        batch: &mut WriteBatch,
        context: &mut RunContext,
    ) {
        let now_ns = context.read_clock();
        while !batch.is_full() {
            let due_ns = match (&context.send_policy, self.to_send.get_mut(connection.slot)) {
                (SendPolicy::KeepInFlight(_), Some(to_send @ 1..)) => {
                    *to_send -= 1;
                    Some(now_ns)
                }
                _ => connection.take_due(context),
            };
            let Some(due_ns) = due_ns else { return };
            let publisher = u32::try_from(connection.slot).unwrap_or(u32::MAX);
            let stamp = MessageStamp { due_ns, publisher, sequence: connection.client.sent };
            self.requests.push_message(&stamp, &mut batch.bytes);
            self.sent += u64::from(context.recorder.window().contains(&due_ns));
            connection.client.sent += 1;
        }
    }

    fn on_end(
        &mut self,
        connection: &mut LoadConnection<MemberClient>,
        _end: &ConnectionEnd,
        _context: &mut RunContext,
    ) {
        self.checker.remove_member(connection.slot);
        self.rotation.iter_mut().for_each(|rotation| rotation.remove_member(connection.slot));
    }

    fn on_tick(&mut self, overdue_ns: Option<u64>) {
        if let (Some(rotation), Some(overdue_ns)) = (&mut self.rotation, overdue_ns) {
            rotation.expire(overdue_ns);
        }
        self.checker.trim_logs();
    }

    /// The members that publish send, as far as they are connected.
    fn start(&mut self, connections: &Connections<MemberClient>) -> Vec<usize> {
        let members = || (0..connections.slots()).filter(|slot| connections.key_of(*slot).is_some());
        let publishers = || members().take_while(|member| *member < self.publishers);
        if let Activity::Closed { in_flight } = self.activity {
            self.rotation = Some(PublisherRotation::new(self.rooms, members(), publishers(), in_flight));
        }
        publishers().collect()
    }

    fn next_ready(&mut self, context: &RunContext) -> Option<usize> {
        let (SendPolicy::KeepInFlight(_), Some(rotation)) = (&context.send_policy, &mut self.rotation) else {
            return None;
        };
        let publisher = rotation.take_next(context.now_ns)?;
        self.to_send.get_mut(publisher).into_iter().for_each(|to_send| *to_send += 1);
        Some(publisher)
    }

    fn is_complete(&self, connections: &Connections<MemberClient>) -> bool {
        self.checker.is_complete(|publisher| sent_by(publisher, connections).unwrap_or(0))
    }

    fn last_progress_ns(&self) -> Option<u64> {
        Some(self.last_progress_ns)
    }

    fn faults(&self, counted: Faults) -> Faults {
        Faults { refused: counted.refused, broken: counted.broken, ..self.checker.faults.summary() }
    }

    /// Open loop: records the waiting time of outstanding deliveries as their latency: without them
    /// the outcome would omit the worst latencies. Deliveries of messages that were due and not
    /// sent are outstanding, too. Returns the number of outstanding deliveries.
    fn finish(&mut self, ending: RunEnding, connections: &Connections<MemberClient>, context: &mut RunContext) -> u64 {
        let outstanding = self.checker.finish(ending.is_final, |publisher| sent_by(publisher, connections));
        let RunContext { recorder, send_policy, now_ns, .. } = context;
        let SendPolicy::Scheduled(schedule) = send_policy else { return outstanding.deliveries };
        let first = schedule.first_due_at(recorder.window().start);
        for (due_ns, members) in outstanding.partly_delivered {
            recorder.record_wait(due_ns, *now_ns, members);
        }
        let mut deliveries = outstanding.deliveries;
        for (place, publisher) in (0..).zip(&connections.senders) {
            let members = self.checker.members_of(self.requests.room_of(*publisher));
            let delivered = self.checker.delivered_of(*publisher);
            let undelivered = delivered.saturating_mul(schedule.senders).saturating_add(place);
            recorder.record_due(schedule, undelivered.max(schedule.first_of_sender(place, first)), *now_ns, members);
            let connection = connections.in_slot(*publisher);
            if let Some((_, unsent)) = connection.and_then(|connection| schedule.due_from(connection.next_number)) {
                deliveries = deliveries.saturating_add(unsent.saturating_mul(members));
            }
        }
        deliveries
    }

    fn into_outcome(self, counted: Faults) -> ChatOutcome {
        let Self { requests, checker, sent, server_errors, .. } = self;
        let violation = |ViolationSite { kind, member, room, id }: &ViolationSite| {
            let room = requests.room(*room).to_owned();
            DeliveryViolation { kind: *kind, member: *member, room, id: *id }
        };
        ChatOutcome {
            sent,
            ids: checker.ids(),
            received: checker.received,
            faults: ChatFaults { refused: counted.refused, broken: counted.broken, ..checker.faults },
            violations: checker.violations.iter().map(violation).collect(),
            server_errors,
        }
    }
}

impl ChatWorkload {
    /// Checks and records a message that a member has received.
    #[inline]
    fn handle_delivery(&mut self, member: usize, delivery: &Delivery<'_>, recorder: &mut Recorder, now_ns: u64) {
        let room = self.requests.room_of(member);
        if delivery.room != self.requests.room(room).as_bytes() {
            let other = self.requests.room_index(delivery.room);
            self.checker.add_fault(FaultKind::Strayed, member, other, delivery.id);
            return;
        }
        let source = match self.requests.source_of(delivery) {
            MessageSource::Own(stamp) if !self.checker.is_publisher_of(&stamp, room) => MessageSource::Corrupt,
            source => source,
        };
        let before = self.checker.received;
        let is_correct = self.checker.check_delivery(member, delivery.id, source);
        if self.checker.received > before {
            self.last_progress_ns = now_ns;
        }
        let MessageSource::Own(stamp) = source else { return };
        if is_correct {
            recorder.record_correct(stamp.due_ns, self.requests.text_bytes, now_ns);
            if let Some(rotation) = &mut self.rotation {
                rotation.record_delivery(stamp.publisher as usize, stamp.sequence);
            }
        }
    }

    /// Handles an event that is not a message.
    fn handle_chat_event(
        &mut self,
        member: usize,
        has_joined: bool,
        replies: &mut JoinReplies,
        event: &ChatEvent<'_>,
    ) -> ConnectionResult {
        let (code, text) = match event {
            ChatEvent::Error { code, text, .. } => (code.as_ref(), text.as_ref()),
            ChatEvent::Bye { reason } => ("bye", reason.as_ref()),
            event => {
                // The check of the nick formats it, so the events about other members skip it.
                if !has_joined {
                    replies.handle_event(member, event, &self.requests);
                }
                return Ok(());
            }
        };
        let text: String = text.chars().take(MAX_TEXT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.checker.faults.server_errors += 1;
        self.keep_error(member, code, &text);
        if has_joined {
            return Ok(());
        }
        Err(ConnectionEnd::Refused(io::Error::other(format!("the server replied {code}: {text}"))))
    }

    /// Counts input that is not a chat event.
    fn handle_garbled(&mut self, member: usize, error: &dyn fmt::Display) {
        self.checker.faults.corrupted += 1;
        self.keep_error(member, "garbled", &format!("the received frame is not a chat event: {error}"));
    }

    /// Keeps the first error of each code.
    fn keep_error(&mut self, member: usize, code: &str, text: &str) {
        let is_known = self.server_errors.iter().any(|error| error.code == code);
        if !is_known && self.server_errors.len() < MAX_SERVER_ERRORS {
            self.server_errors.push(ServerError { member, code: code.to_owned(), text: text.to_owned() });
        }
    }
}

/// Returns how many messages a publisher has sent; `None` if it is not connected.
fn sent_by(publisher: usize, connections: &Connections<MemberClient>) -> Option<u64> {
    connections.in_slot(publisher).map(|connection| connection.client.sent)
}
