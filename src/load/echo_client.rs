//! One connection of the echo load: connects, sends what the send policy allows, checks the
//! answers.
//!
//! Readiness is remembered: the client reads or writes once the kernel has reported the socket as
//! ready, until a call returns `WouldBlock`. Knows neither the other connections nor what the run
//! does when this one ends.

use std::io;

use super::end::ConnectionEnd;
use super::in_flight::{AnswerVerdict, InFlight, SentMessage};
use super::net::{LoadSocket, SocketEvent};
use super::output_buffer::OutputBuffer;
use super::recorder::Recorder;
use super::response_splitter::ResponseSplitter;
use super::run_context::{RunContext, SendPolicy};

/// Batches that a slow reader sends in one step before the other connections are served.
const FLOOD_BATCHES: usize = 16;

/// The driver's next action for a connection after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Waits for its next event.
    Wait,
    /// Steps it again: it yielded to the other connections before its work was done.
    StepAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Connecting,
    Open,
    /// The write side is shut down; the server's end of stream is awaited.
    Closing,
}

/// One connection of the load.
pub(super) struct EchoClient {
    socket: LoadSocket,
    /// Index of the planned connection that this client serves.
    pub(super) slot: usize,
    state: ClientState,
    connect_began_ns: u64,
    readable: bool,
    /// The kernel has reported the peer's end of stream, or an error. Reading goes on until a read
    /// returns it.
    peer_closed: bool,
    is_slow_reader: bool,
    splitter: ResponseSplitter,
    in_flight: InFlight,
    output: OutputBuffer,
    /// Open loop: number of the connection's next message in the schedule.
    pub(super) next_number: u64,
    /// Open loop: time since which the connection has been able to send.
    sendable_since_ns: u64,
    /// Churn: payload bytes of the correct answer, once it has arrived.
    exchanged_bytes: Option<usize>,
}

impl EchoClient {
    pub(super) fn new(
        socket: LoadSocket,
        slot: usize,
        connection: u32,
        next_number: u64,
        is_slow_reader: bool,
        context: &RunContext,
    ) -> Self {
        let is_datagram = socket.is_datagram();
        let splitter = if is_datagram {
            ResponseSplitter::Datagrams
        } else {
            ResponseSplitter::new(context.framing, context.max_frame_bytes)
        };
        Self {
            socket,
            slot,
            state: if is_datagram { ClientState::Open } else { ClientState::Connecting },
            connect_began_ns: context.now_ns,
            readable: false,
            peer_closed: false,
            is_slow_reader,
            splitter,
            in_flight: InFlight::new(connection),
            output: OutputBuffer::new(is_datagram),
            next_number,
            sendable_since_ns: context.now_ns,
            exchanged_bytes: None,
        }
    }

    pub(super) fn socket(&mut self) -> &mut LoadSocket {
        &mut self.socket
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Records every message in flight as lost, because the connection has ended.
    pub(super) fn lose_all(&mut self, recorder: &mut Recorder, now_ns: u64) {
        recorder.faults.lost += self.in_flight.give_up_all(|sent| _ = recorder.record_wait(sent, now_ns));
    }

    /// Returns true if received bytes belong to no message. While a message that was given up is
    /// remembered, the bytes may be the beginning of its answer.
    pub(super) fn has_unmatched_bytes(&self) -> bool {
        self.splitter.has_partial() && self.in_flight.all_answered() && self.in_flight.given_up().next().is_none()
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.state == ClientState::Connecting
    }

    pub(super) fn is_slow_reader(&self) -> bool {
        self.is_slow_reader
    }

    /// Returns true if no further answer is expected.
    pub(super) fn is_done(&self, context: &RunContext) -> bool {
        match self.state {
            _ if self.is_slow_reader => true,
            ClientState::Connecting => !context.is_churn,
            ClientState::Open => {
                self.in_flight.all_answered() && !(context.is_churn && self.in_flight.next_number() == 0)
            }
            ClientState::Closing => false,
        }
    }

    /// Churn: returns when the connect began and the payload bytes of the answer, if the exchange
    /// was correct.
    pub(super) fn completed_exchange(&self) -> Option<(u64, usize)> {
        self.exchanged_bytes.map(|bytes| (self.connect_began_ns, bytes))
    }

    /// Takes note of what the kernel reports, then steps.
    pub(super) fn handle_event(
        &mut self,
        event: SocketEvent,
        context: &mut RunContext,
    ) -> Result<NextStep, ConnectionEnd> {
        if event.writable && self.output.set_writable() {
            self.sendable_since_ns = context.now_ns;
        }
        self.readable |= event.readable;
        self.peer_closed |= event.peer_closed;
        if self.state == ClientState::Connecting {
            if !self.socket.is_connected().map_err(ConnectionEnd::Refused)? {
                return Ok(NextStep::Wait);
            }
            self.state = ClientState::Open;
            let now_ns = context.read_clock();
            context.recorder.record_connect(now_ns.saturating_sub(self.connect_began_ns));
            self.sendable_since_ns = now_ns;
        }
        self.step(context)
    }

    /// Reads and writes as far as the socket allows.
    pub(super) fn step(&mut self, context: &mut RunContext) -> Result<NextStep, ConnectionEnd> {
        if self.is_slow_reader {
            return self.flood(context);
        }
        self.receive(context)?;
        self.send(context)?;
        Ok(if self.output.local_error.is_some() { NextStep::StepAgain } else { NextStep::Wait })
    }

    /// Takes the error of this machine that has kept back a message since `sent_ns` or earlier.
    /// The server is not charged for such a message.
    pub(super) fn take_local_error(&mut self, sent_ns: u64) -> Option<io::Error> {
        let Self { in_flight, output, .. } = self;
        output.local_error.take_if(|_| in_flight.unanswered().any(|sent| sent.sent_ns <= sent_ns))
    }

    /// Gives up every message sent at `sent_ns` or earlier and not answered.
    pub(super) fn expire(&mut self, sent_ns: u64, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let is_overdue = self.connect_began_ns <= sent_ns;
        match self.state {
            ClientState::Connecting if is_overdue => {
                return Err(ConnectionEnd::Refused(io::ErrorKind::TimedOut.into()));
            }
            ClientState::Closing if is_overdue => return Err(ConnectionEnd::Broken),
            _ => {}
        }
        let now_ns = context.now_ns;
        let lost = self.in_flight.expire(sent_ns, |sent| _ = context.recorder.record_wait(sent, now_ns));
        context.recorder.faults.lost += lost;
        if lost > 0 && context.is_churn { Err(ConnectionEnd::Finished) } else { Ok(()) }
    }

    /// Reads and checks everything that has arrived.
    fn receive(&mut self, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let is_datagram = self.socket.is_datagram();
        while self.readable {
            if is_datagram && self.in_flight.all_answered() && !context.is_finishing {
                // Any datagram here would be a fault. The next read, or the last, finds it;
                // skipping the read saves a system call for each message.
                return Ok(());
            }
            match self.socket.read(&mut context.read_buffer) {
                Ok(0) if !is_datagram => {
                    let is_closing = self.state == ClientState::Closing;
                    return Err(if is_closing { ConnectionEnd::Finished } else { ConnectionEnd::Broken });
                }
                Ok(bytes) => {
                    self.handle_input(bytes, context)?;
                    if self.socket.short_io_means_blocked() && bytes < context.read_buffer.len() {
                        // An end of stream that arrived with these bytes has no event of its own.
                        self.readable = self.peer_closed;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ if is_datagram => context.udp_error = Some(error),
                    _ => return Err(ConnectionEnd::Broken),
                },
            }
        }
        Ok(())
    }

    #[inline]
    fn handle_input(&mut self, bytes: usize, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let now_ns = context.read_clock();
        if self.in_flight.len() >= context.max_in_flight {
            self.sendable_since_ns = now_ns;
        }
        context.has_received = true;
        let RunContext { templates, buffer_pool, recorder, read_buffer, is_churn, .. } = context;
        let exchanged_bytes = &mut self.exchanged_bytes;
        let on_answer = |verdict, bytes| match verdict {
            AnswerVerdict::Correct(_) if *is_churn => *exchanged_bytes = Some(bytes),
            verdict => recorder.record_answer(verdict, bytes, now_ns),
        };
        let input = read_buffer.get(..bytes).unwrap_or_default();
        if self.splitter.split(input, &mut self.in_flight, templates, buffer_pool, on_answer).is_err() {
            self.in_flight.drop_oldest();
            recorder.faults.corrupted += 1;
            return Err(ConnectionEnd::Garbled);
        }
        let is_exchanged = |in_flight: &InFlight| in_flight.next_number() > 0 && in_flight.all_answered();
        if *is_churn && self.state == ClientState::Open && is_exchanged(&self.in_flight) {
            if self.socket.is_datagram() {
                return Err(ConnectionEnd::Finished);
            }
            self.state = ClientState::Closing;
            // This fails if the server has already ended the connection; the next read reports
            // that.
            let _ = self.socket.shutdown_write();
        }
        Ok(())
    }

    /// Sends all messages that the send policy allows, as far as the socket takes them.
    fn send(&mut self, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        while self.state == ClientState::Open && self.output.flush(&mut self.socket)? {
            context.batch.clear();
            self.fill_batch(context);
            if context.batch.len() == 0 {
                return Ok(());
            }
            let was_full = context.batch.is_full();
            self.output.write_batch(&mut self.socket, context)?;
            if !was_full {
                return Ok(());
            }
            context.read_clock();
        }
        Ok(())
    }

    /// Adds the messages that may be sent now to the batch.
    #[inline]
    fn fill_batch(&mut self, context: &mut RunContext) {
        let now_ns = context.now_ns;
        let RunContext { templates, batch, send_policy, recorder, max_in_flight, .. } = context;
        let mut push = |in_flight: &mut InFlight, due_ns| {
            batch.push(&templates.payload(in_flight.connection(), in_flight.next_number()), templates);
            in_flight.push(SentMessage { due_ns, sent_ns: now_ns });
            !batch.is_full()
        };
        match send_policy {
            SendPolicy::KeepInFlight(count) => {
                while self.in_flight.len() < *count && push(&mut self.in_flight, now_ns) {}
            }
            SendPolicy::Scheduled(schedule) => {
                while self.next_number < schedule.due_count && self.in_flight.len() < *max_in_flight {
                    let due_ns = schedule.due_ns(self.next_number);
                    self.next_number += schedule.connections;
                    recorder.record_send_lag(due_ns, now_ns.saturating_sub(due_ns.max(self.sendable_since_ns)));
                    if !push(&mut self.in_flight, due_ns) {
                        break;
                    }
                }
            }
            SendPolicy::Once if self.in_flight.next_number() == 0 => _ = push(&mut self.in_flight, now_ns),
            SendPolicy::Once | SendPolicy::Paused => {}
        }
    }

    /// Slow reader: sends as fast as the server takes it, and reads nothing.
    fn flood(&mut self, context: &mut RunContext) -> Result<NextStep, ConnectionEnd> {
        if self.peer_closed {
            return Err(ConnectionEnd::Broken);
        }
        for _ in 0..FLOOD_BATCHES {
            if context.is_finishing || !self.output.flush(&mut self.socket)? {
                return Ok(NextStep::Wait);
            }
            context.batch.clear();
            while !context.batch.is_full() {
                #[allow(clippy::cast_possible_truncation, reason = "message numbers wrap")]
                let payload = context.templates.payload(self.in_flight.connection(), self.next_number as u32);
                context.batch.push(&payload, &context.templates);
                self.next_number += 1;
            }
            self.output.write_batch(&mut self.socket, context)?;
        }
        Ok(NextStep::StepAgain)
    }
}
