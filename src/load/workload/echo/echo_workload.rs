//! The workload of an echo load: the messages of its connections, and the check of their answers.

use super::config::LoadConfig;
use super::in_flight::{AnswerVerdict, InFlight, SentMessage};
use super::message_encoder::{MessageEncoder, WireFormat};
use super::response_splitter::ResponseSplitter;
use super::templates::Templates;
use crate::frame::Framing;
use crate::load::config::Activity;
use crate::load::connection::{ConnectionEnd, ConnectionResult, ConnectionState, LoadConnection};
use crate::load::connections::Connections;
use crate::load::outcome::Faults;
use crate::load::pace::SendPolicy;
use crate::load::recorder::Recorder;
use crate::load::run_context::RunContext;
use crate::load::workload::{RunEnding, Workload};
use crate::load::write_batch::WriteBatch;

/// Bytes by which an answer may exceed the longest message before its connection is closed.
const FRAME_SLACK_BYTES: usize = 64 * 1024;

/// Messages that an open loop may have in flight on all connections together. Due messages beyond
/// this limit are sent later; their latency still counts from when they were due.
const MAX_IN_FLIGHT: usize = 1 << 20;

/// Messages that each connection may have in flight, however many connections share the limit.
const MIN_IN_FLIGHT: usize = 64;

/// The echo load.
pub(super) struct EchoWorkload {
    templates: Templates,
    encoder: MessageEncoder,
    framing: Framing,
    max_frame_bytes: usize,
    connections: usize,
    /// Open loop: messages that one connection may have in flight.
    max_in_flight: usize,
    is_churn: bool,
    /// Connections opened so far. Each gets the next number as its identity in the messages.
    opened: u32,
}

/// The state of one connection of the echo load.
pub(super) struct EchoClient {
    splitter: ResponseSplitter,
    in_flight: InFlight,
    /// Slow reader: messages sent so far.
    flooded: u32,
    /// Churn: payload bytes of the correct answer, once it has arrived.
    exchanged_bytes: Option<usize>,
}

impl EchoWorkload {
    pub(super) fn new(config: &LoadConfig) -> Self {
        let format = config.wire_format();
        let is_text = format == WireFormat::Stream(Framing::Lines);
        Self {
            templates: Templates::new(&config.payload_bytes, config.seed, is_text),
            encoder: MessageEncoder::new(format),
            framing: config.framing,
            max_frame_bytes: config.payload_bytes.end().saturating_add(FRAME_SLACK_BYTES),
            connections: config.connections,
            max_in_flight: (MAX_IN_FLIGHT / config.connections.max(1)).max(MIN_IN_FLIGHT),
            is_churn: config.activity == Activity::Churn,
            opened: 0,
        }
    }

    /// Slow reader: fills the batch, to send as fast as the server takes it.
    fn flood(&mut self, client: &mut EchoClient, batch: &mut WriteBatch) {
        while !batch.is_full() {
            let payload = self.templates.payload(client.in_flight.connection(), client.flooded);
            self.encoder.push(&payload, &self.templates, batch);
            client.flooded = client.flooded.wrapping_add(1);
        }
    }
}

impl Workload for EchoWorkload {
    type Client = EchoClient;
    type Outcome = ();

    const RECONNECTS: bool = true;
    const MAX_FINISHING_TIMEOUTS: u32 = 1;

    fn new_client(&mut self, is_datagram: bool) -> EchoClient {
        let splitter = if is_datagram {
            ResponseSplitter::Datagrams
        } else {
            ResponseSplitter::new(self.framing, self.max_frame_bytes)
        };
        let in_flight = InFlight::new(self.opened);
        self.opened = self.opened.wrapping_add(1);
        EchoClient { splitter, in_flight, flooded: 0, exchanged_bytes: None }
    }

    fn on_connected(
        &mut self,
        connection: &mut LoadConnection<EchoClient>,
        context: &mut RunContext,
    ) -> ConnectionResult {
        connection.establish(context);
        Ok(())
    }

    #[inline]
    fn expects_input(&self, connection: &LoadConnection<EchoClient>, context: &RunContext) -> bool {
        // A datagram that belongs to no message would be a fault. The next read, or the last, finds
        // it; skipping the read saves a system call for each message.
        !connection.socket.is_datagram() || context.is_finishing || !connection.client.in_flight.all_answered()
    }

    #[inline]
    fn on_input(
        &mut self,
        connection: &mut LoadConnection<EchoClient>,
        input: &[u8],
        context: &mut RunContext,
    ) -> ConnectionResult {
        let now_ns = context.now_ns;
        let EchoClient { splitter, in_flight, exchanged_bytes, .. } = &mut connection.client;
        if in_flight.len() >= self.max_in_flight {
            connection.sendable_since_ns = now_ns;
        }
        let (is_churn, RunContext { recorder, buffer_pool, .. }) = (self.is_churn, context);
        let on_answer = |verdict, bytes| match verdict {
            AnswerVerdict::Correct(_) if is_churn => *exchanged_bytes = Some(bytes),
            verdict => record_answer(verdict, bytes, recorder, now_ns),
        };
        if splitter.split(input, in_flight, &self.templates, buffer_pool, on_answer).is_err() {
            in_flight.drop_oldest();
            recorder.faults.corrupted += 1;
            return Err(ConnectionEnd::Garbled);
        }
        let is_exchanged = is_churn && in_flight.next_number() > 0 && in_flight.all_answered();
        if is_exchanged && connection.state == ConnectionState::Open {
            if connection.socket.is_datagram() {
                return Err(ConnectionEnd::Finished);
            }
            connection.state = ConnectionState::Closing;
            // This fails if the server has already ended the connection; the next read reports
            // that.
            let _ = connection.socket.shutdown_write();
        }
        Ok(())
    }

    #[inline]
    fn fill_batch(
        &mut self,
        connection: &mut LoadConnection<EchoClient>,
        batch: &mut WriteBatch,
        context: &mut RunContext,
    ) {
        if connection.is_slow_reader {
            if !context.is_finishing {
                self.flood(&mut connection.client, batch);
            }
            return;
        }
        let now_ns = context.now_ns;
        let Self { templates, encoder, max_in_flight, .. } = self;
        let mut push = |in_flight: &mut InFlight, due_ns| {
            encoder.push(&templates.payload(in_flight.connection(), in_flight.next_number()), templates, batch);
            in_flight.push(SentMessage { due_ns, sent_ns: now_ns });
            !batch.is_full()
        };
        match context.send_policy {
            SendPolicy::KeepInFlight(count) => {
                let in_flight = &mut connection.client.in_flight;
                while in_flight.len() < count && push(in_flight, now_ns) {}
            }
            SendPolicy::Scheduled(_) => {
                while connection.client.in_flight.len() < *max_in_flight
                    && let Some(due_ns) = connection.take_due(context)
                    && push(&mut connection.client.in_flight, due_ns)
                {}
            }
            SendPolicy::Once if connection.client.in_flight.next_number() == 0 => {
                push(&mut connection.client.in_flight, now_ns);
            }
            SendPolicy::Once | SendPolicy::Paused => {}
        }
    }

    fn table(&self) -> &[u8] {
        self.templates.table()
    }

    fn on_end(&mut self, connection: &mut LoadConnection<EchoClient>, end: &ConnectionEnd, context: &mut RunContext) {
        let now_ns = context.now_ns;
        let recorder = &mut context.recorder;
        // Every message in flight is lost.
        let lost = connection.client.in_flight.give_up_all(|sent| _ = recorder.record_wait(sent.due_ns, now_ns, 1));
        recorder.faults.lost += lost;
        if let (ConnectionEnd::Finished, Some(bytes)) = (end, connection.client.exchanged_bytes) {
            let now_ns = context.read_clock();
            context.recorder.record_correct(connection.connect_began_ns, bytes, now_ns);
        }
    }

    fn expire(
        &mut self,
        connection: &mut LoadConnection<EchoClient>,
        overdue_ns: u64,
        context: &mut RunContext,
    ) -> ConnectionResult<bool> {
        let in_flight = &mut connection.client.in_flight;
        let keeps_back = |in_flight: &InFlight| in_flight.unanswered().any(|sent| sent.sent_ns <= overdue_ns);
        if let Some(error) = connection.output.local_error.take_if(|_| keeps_back(in_flight)) {
            return Err(ConnectionEnd::LocalError(error));
        }
        let now_ns = context.now_ns;
        let lost = in_flight.expire(overdue_ns, |sent| _ = context.recorder.record_wait(sent.due_ns, now_ns, 1));
        context.recorder.faults.lost += lost;
        if lost > 0 && self.is_churn { Err(ConnectionEnd::Finished) } else { Ok(lost > 0) }
    }

    /// Every planned connection sends.
    fn start(&mut self, _connections: &Connections<EchoClient>) -> Vec<usize> {
        (0..self.connections).collect()
    }

    fn is_done(&self, connection: &LoadConnection<EchoClient>) -> bool {
        let in_flight = &connection.client.in_flight;
        match connection.state {
            ConnectionState::Connecting | ConnectionState::Handshaking => !self.is_churn,
            ConnectionState::Open => in_flight.all_answered() && !(self.is_churn && in_flight.next_number() == 0),
            ConnectionState::Closing => false,
        }
    }

    /// Open loop: records the waiting times of the unanswered and the lost messages as their
    /// latency: without them the outcome would omit the worst latencies. Returns how many messages
    /// due in the measured time are neither answered nor lost.
    fn finish(&mut self, ending: RunEnding, connections: &Connections<EchoClient>, context: &mut RunContext) -> u64 {
        if !ending.is_measured {
            return 0;
        }
        let RunContext { recorder, send_policy, now_ns, .. } = context;
        recorder.faults.corrupted += connections.iter().filter(|it| it.client.has_unmatched_bytes()).count() as u64;
        let SendPolicy::Scheduled(schedule) = send_policy else { return 0 };
        let first = schedule.first_due_at(recorder.window().start);
        let mut unanswered = 0;
        for connection in connections.iter() {
            let in_flight = &connection.client.in_flight;
            let waiting = in_flight.unanswered().filter(|sent| recorder.record_wait(sent.due_ns, *now_ns, 1));
            unanswered += waiting.count() as u64;
            in_flight.given_up().for_each(|sent| _ = recorder.record_wait(sent.due_ns, *now_ns, 1));
        }
        for (place, slot) in (0..).zip(&connections.senders) {
            let next = connections.next_number(*slot).max(schedule.first_of_sender(place, first));
            unanswered += recorder.record_due(schedule, next, *now_ns, 1);
        }
        unanswered
    }

    fn into_outcome(self, _faults: Faults) {}
}

impl EchoClient {
    /// Returns true if received bytes belong to no message. While a message that was given up is
    /// remembered, the bytes may be the beginning of its answer.
    fn has_unmatched_bytes(&self) -> bool {
        self.splitter.has_partial() && self.in_flight.all_answered() && self.in_flight.given_up().next().is_none()
    }
}

/// Records an answer of `bytes` bytes.
#[inline]
fn record_answer(verdict: AnswerVerdict, bytes: usize, recorder: &mut Recorder, now_ns: u64) {
    match verdict {
        AnswerVerdict::Correct(sent) => recorder.record_correct(sent.due_ns, bytes, now_ns),
        AnswerVerdict::Reordered(sent) => {
            recorder.faults.reordered += 1;
            recorder.record_latency(sent.due_ns, now_ns);
        }
        AnswerVerdict::Duplicated => recorder.faults.duplicated += 1,
        AnswerVerdict::Corrupted => recorder.faults.corrupted += 1,
        // The message has already been counted as lost.
        AnswerVerdict::Late(sent) => _ = recorder.record_latency(sent.due_ns, now_ns),
    }
}

#[cfg(test)]
mod tests;
