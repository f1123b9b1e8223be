//! One connection of the load: connects, sends what there is to send, judges what comes.
//!
//! Readiness is remembered: a read or write is tried when the system has said that it may succeed, and until it does not. Knows
//! neither the other connections nor what becomes of the run when this one ends.

use std::io;

use super::end::ConnectionEnd;
use super::in_flight::{AnswerVerdict, InFlight, SentMessage};
use super::net::{LoadSocket, SocketEvent};
use super::output_buffer::OutputBuffer;
use super::recorder::Recorder;
use super::response_splitter::ResponseSplitter;
use super::run_context::{RunContext, SendPolicy};

/// Batches that a slow reader sends in one go before it is the others' turn.
const FLOOD_BATCHES: usize = 16;

/// What a connection wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// An event.
    Wait,
    /// Another step: it stopped only to let others have theirs.
    StepAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Connecting,
    Open,
    /// Our side is shut down; the server's end is awaited.
    Closing,
}

pub(super) struct EchoClient {
    socket: LoadSocket,
    /// Which of the planned connections it is.
    pub(super) line: usize,
    phase: ClientState,
    began_ns: u64,
    readable: bool,
    /// The peer's end, or a failure, was announced: reading goes on until it comes.
    end: bool,
    never_reads: bool,
    splitter: ResponseSplitter,
    in_flight: InFlight,
    output: OutputBuffer,
    /// Open loop: its next message by the timetable.
    pub(super) next: u64,
    /// Open loop: since when it has been free to send.
    free_since_ns: u64,
    /// Churn: payload bytes of the right answer.
    exchanged: Option<usize>,
}

impl EchoClient {
    pub(super) fn new(
        socket: LoadSocket,
        line: usize,
        connection: u32,
        next: u64,
        never_reads: bool,
        context: &RunContext,
    ) -> Self {
        let datagrams = socket.is_datagram();
        let splitter = if datagrams {
            ResponseSplitter::Datagrams
        } else {
            ResponseSplitter::new(context.framing, context.max_frame_bytes)
        };
        Self {
            socket,
            line,
            phase: if datagrams { ClientState::Open } else { ClientState::Connecting },
            began_ns: context.now_ns,
            readable: false,
            end: false,
            never_reads,
            splitter,
            in_flight: InFlight::new(connection),
            output: OutputBuffer::new(datagrams),
            next,
            free_since_ns: context.now_ns,
            exchanged: None,
        }
    }

    pub(super) fn socket(&mut self) -> &mut LoadSocket {
        &mut self.socket
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// It is gone, and what was under way with it.
    pub(super) fn lose_all(&mut self, recorder: &mut Recorder, now_ns: u64) {
        recorder.faults.lost += self.in_flight.lose_all(|sent| _ = recorder.waited(sent, now_ns));
    }

    /// Whether bytes came that belong to no message. Those of one that was given up may be the beginning of its answer.
    pub(super) fn has_leftover(&self) -> bool {
        self.splitter.has_partial() && self.in_flight.is_settled() && self.in_flight.given_up().next().is_none()
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.phase == ClientState::Connecting
    }

    pub(super) fn never_reads(&self) -> bool {
        self.never_reads
    }

    /// Whether nothing more is to come of it.
    pub(super) fn is_settled(&self, context: &RunContext) -> bool {
        match self.phase {
            _ if self.never_reads => true,
            ClientState::Connecting => !context.churn,
            ClientState::Open => self.in_flight.is_settled() && !(context.churn && self.in_flight.next() == 0),
            ClientState::Closing => false,
        }
    }

    /// Churn: when it began and what was exchanged, if that was as it must be.
    pub(super) fn exchange(&self) -> Option<(u64, usize)> {
        self.exchanged.map(|bytes| (self.began_ns, bytes))
    }

    /// Takes in what the system says, and does what can be done.
    pub(super) fn handle_ready(
        &mut self,
        ready: SocketEvent,
        context: &mut RunContext,
    ) -> Result<NextStep, ConnectionEnd> {
        if ready.writable && self.output.unblock() {
            self.free_since_ns = context.now_ns;
        }
        self.readable |= ready.readable;
        self.end |= ready.end;
        if self.phase == ClientState::Connecting {
            if !self.socket.connected().map_err(ConnectionEnd::Refused)? {
                return Ok(NextStep::Wait);
            }
            self.phase = ClientState::Open;
            let now_ns = context.read_clock();
            context.recorder.connected(now_ns.saturating_sub(self.began_ns));
            self.free_since_ns = now_ns;
        }
        self.step(context)
    }

    /// Does what can be done.
    pub(super) fn step(&mut self, context: &mut RunContext) -> Result<NextStep, ConnectionEnd> {
        if self.never_reads {
            return self.flood(context);
        }
        self.receive(context)?;
        self.send(context)?;
        Ok(if self.output.own_failure.is_some() { NextStep::StepAgain } else { NextStep::Wait })
    }

    /// Why what was to be sent at `sent_ns` or earlier still could not be, if that is not the server's fault.
    pub(super) fn take_own_failure(&mut self, sent_ns: u64) -> Option<io::Error> {
        let Self { in_flight, output, .. } = self;
        output.own_failure.take_if(|_| in_flight.unanswered().any(|sent| sent.sent_ns <= sent_ns))
    }

    /// Gives up what was not answered in time: sent at `sent_ns` or earlier.
    pub(super) fn expire(&mut self, sent_ns: u64, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let overdue = self.began_ns <= sent_ns;
        match self.phase {
            ClientState::Connecting if overdue => return Err(ConnectionEnd::Refused(io::ErrorKind::TimedOut.into())),
            ClientState::Closing if overdue => return Err(ConnectionEnd::Broken),
            _ => {}
        }
        let now_ns = context.now_ns;
        let lost = self.in_flight.expire(sent_ns, |sent| _ = context.recorder.waited(sent, now_ns));
        context.recorder.faults.lost += lost;
        if lost > 0 && context.churn { Err(ConnectionEnd::Finished) } else { Ok(()) }
    }

    /// Reads and judges all that is there.
    fn receive(&mut self, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let is_datagram = self.socket.is_datagram();
        while self.readable {
            if is_datagram && self.in_flight.is_settled() && !context.finishing {
                // Whatever there is would be at fault, and is found when the next answer is read, or at the end. It saves a call.
                return Ok(());
            }
            match self.socket.read(&mut context.buffer) {
                Ok(0) if !is_datagram => {
                    return Err(if self.phase == ClientState::Closing {
                        ConnectionEnd::Finished
                    } else {
                        ConnectionEnd::Broken
                    });
                }
                Ok(bytes) => {
                    self.judge(bytes, context)?;
                    if self.socket.short_means_done() && bytes < context.buffer.len() {
                        // An end that came along with these bytes has no event of its own.
                        self.readable = self.end;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ if is_datagram => context.refusal = Some(error),
                    _ => return Err(ConnectionEnd::Broken),
                },
            }
        }
        Ok(())
    }

    #[inline]
    fn judge(&mut self, bytes: usize, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let now_ns = context.read_clock();
        if self.in_flight.len() >= context.max_in_flight {
            self.free_since_ns = now_ns;
        }
        context.heard = true;
        let RunContext { templates, spares, recorder, buffer, churn, .. } = context;
        let exchanged = &mut self.exchanged;
        let told = |answer, bytes| match answer {
            AnswerVerdict::Right(_) if *churn => *exchanged = Some(bytes),
            answer => recorder.answered(answer, bytes, now_ns),
        };
        let input = buffer.get(..bytes).unwrap_or_default();
        if self.splitter.feed(input, &mut self.in_flight, templates, spares, told).is_err() {
            self.in_flight.spoil();
            recorder.faults.corrupted += 1;
            return Err(ConnectionEnd::Garbled);
        }
        if *churn && self.phase == ClientState::Open && self.in_flight.next() > 0 && self.in_flight.is_settled() {
            if self.socket.is_datagram() {
                return Err(ConnectionEnd::Finished);
            }
            self.phase = ClientState::Closing;
            // When it fails, the server has ended the connection first, and reading will say so.
            let _ = self.socket.shutdown_write();
        }
        Ok(())
    }

    /// Sends all that there is to send and that the socket takes.
    fn send(&mut self, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        while self.phase == ClientState::Open && self.output.flush(&mut self.socket)? {
            context.batch.clear();
            self.fill(context);
            if context.batch.len() == 0 {
                return Ok(());
            }
            let was_full = context.batch.is_full();
            self.output.write(&mut self.socket, context)?;
            if !was_full {
                return Ok(());
            }
            context.read_clock();
        }
        Ok(())
    }

    /// Puts into the batch what is to be sent now.
    #[inline]
    fn fill(&mut self, context: &mut RunContext) {
        let now_ns = context.now_ns;
        let RunContext { templates, batch, policy, recorder, max_in_flight, .. } = context;
        let mut push = |in_flight: &mut InFlight, due_ns| {
            batch.push(&templates.payload(in_flight.connection(), in_flight.next()), templates);
            in_flight.send(SentMessage { due_ns, sent_ns: now_ns });
            !batch.is_full()
        };
        match policy {
            SendPolicy::Keep(in_flight) => {
                while self.in_flight.len() < *in_flight && push(&mut self.in_flight, now_ns) {}
            }
            SendPolicy::Timetable(pace) => {
                while self.next < pace.due && self.in_flight.len() < *max_in_flight {
                    let due_ns = pace.due_ns(self.next);
                    self.next += pace.connections;
                    recorder.sent(due_ns, now_ns.saturating_sub(due_ns.max(self.free_since_ns)));
                    if !push(&mut self.in_flight, due_ns) {
                        break;
                    }
                }
            }
            SendPolicy::Once if self.in_flight.next() == 0 => _ = push(&mut self.in_flight, now_ns),
            SendPolicy::Once | SendPolicy::Nothing => {}
        }
    }

    /// Sends without end, and reads nothing.
    fn flood(&mut self, context: &mut RunContext) -> Result<NextStep, ConnectionEnd> {
        if self.end {
            return Err(ConnectionEnd::Broken);
        }
        for _ in 0..FLOOD_BATCHES {
            if context.finishing || !self.output.flush(&mut self.socket)? {
                return Ok(NextStep::Wait);
            }
            context.batch.clear();
            while !context.batch.is_full() {
                #[allow(clippy::cast_possible_truncation, reason = "numbers wrap")]
                context.batch.push(
                    &context.templates.payload(self.in_flight.connection(), self.next as u32),
                    &context.templates,
                );
                self.next += 1;
            }
            self.output.write(&mut self.socket, context)?;
        }
        Ok(NextStep::StepAgain)
    }
}
