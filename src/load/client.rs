//! One connection of the load: connects, sends what there is to send, judges what comes.
//!
//! Readiness is remembered: a read or write is tried when the system has said that it may succeed, and until it does not. Knows
//! neither the other connections nor what becomes of the run when this one ends.

use std::io;

use super::cutter::Cutter;
use super::kit::{Kit, Orders};
use super::ledger::{Answer, Ledger, Sent};
use super::net::{Ready, Socket};
use super::output::Output;
use super::tally::Tally;

/// Batches that a slow reader sends in one go before it is the others' turn.
const FLOOD_BATCHES: usize = 16;

/// Why a connection is no more.
#[derive(Debug)]
pub(super) enum End {
    /// It never stood.
    Refused(io::Error),
    /// The server broke it off.
    Broken,
    /// What came on it can no longer be cut into answers.
    Garbled,
    /// Its one exchange is over.
    Finished,
}

/// What a connection wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// An event.
    Event,
    /// Another step: it stopped only to let others have theirs.
    Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// Our side is shut down; the server's end is awaited.
    Closing,
}

pub(super) struct Client {
    socket: Socket,
    /// Which of the planned connections it is.
    pub(super) line: usize,
    phase: Phase,
    began_ns: u64,
    readable: bool,
    /// The peer's end, or a failure, was announced: reading goes on until it comes.
    end: bool,
    never_reads: bool,
    cutter: Cutter,
    ledger: Ledger,
    output: Output,
    /// Open loop: its next message by the timetable.
    pub(super) next: u64,
    /// Open loop: since when it has been free to send.
    free_since_ns: u64,
    /// Churn: payload bytes of the right answer.
    exchanged: Option<usize>,
}

impl Client {
    pub(super) fn new(socket: Socket, line: usize, connection: u32, next: u64, never_reads: bool, kit: &Kit) -> Self {
        let datagrams = socket.is_datagram();
        let cutter = if datagrams { Cutter::Datagrams } else { Cutter::new(kit.framing, kit.max_frame_bytes) };
        Self {
            socket,
            line,
            phase: if datagrams { Phase::Open } else { Phase::Connecting },
            began_ns: kit.now_ns,
            readable: false,
            end: false,
            never_reads,
            cutter,
            ledger: Ledger::new(connection),
            output: Output::new(datagrams),
            next,
            free_since_ns: kit.now_ns,
            exchanged: None,
        }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// It is gone, and what was under way with it.
    pub(super) fn lose_all(&mut self, tally: &mut Tally, now_ns: u64) {
        tally.faults.lost += self.ledger.lose_all(|sent| _ = tally.waited(sent, now_ns));
    }

    /// Whether bytes came that belong to no message. Those of one that was given up may be the beginning of its answer.
    pub(super) fn has_leftover(&self) -> bool {
        self.cutter.has_partial() && self.ledger.is_settled() && self.ledger.given_up().next().is_none()
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.phase == Phase::Connecting
    }

    pub(super) fn never_reads(&self) -> bool {
        self.never_reads
    }

    /// Whether nothing more is to come of it.
    pub(super) fn is_settled(&self, kit: &Kit) -> bool {
        match self.phase {
            _ if self.never_reads => true,
            Phase::Connecting => !kit.churn,
            Phase::Open => self.ledger.is_settled() && !(kit.churn && self.ledger.next() == 0),
            Phase::Closing => false,
        }
    }

    /// Churn: when it began and what was exchanged, if that was as it must be.
    pub(super) fn exchange(&self) -> Option<(u64, usize)> {
        self.exchanged.map(|bytes| (self.began_ns, bytes))
    }

    /// Takes in what the system says, and does what can be done.
    pub(super) fn handle_ready(&mut self, ready: Ready, kit: &mut Kit) -> Result<Wants, End> {
        if ready.writable && self.output.unblock() {
            self.free_since_ns = kit.now_ns;
        }
        self.readable |= ready.readable;
        self.end |= ready.end;
        if self.phase == Phase::Connecting {
            if !self.socket.connected().map_err(End::Refused)? {
                return Ok(Wants::Event);
            }
            self.phase = Phase::Open;
            let now_ns = kit.look_at_clock();
            kit.tally.connected(now_ns.saturating_sub(self.began_ns));
            self.free_since_ns = now_ns;
        }
        self.step(kit)
    }

    /// Does what can be done.
    pub(super) fn step(&mut self, kit: &mut Kit) -> Result<Wants, End> {
        if self.never_reads {
            return self.flood(kit);
        }
        self.receive(kit)?;
        self.send(kit)?;
        Ok(if self.output.own_failure.is_some() { Wants::Step } else { Wants::Event })
    }

    /// Why what was to be sent at `sent_ns` or earlier still could not be, if that is not the server's fault.
    pub(super) fn take_own_failure(&mut self, sent_ns: u64) -> Option<io::Error> {
        let Self { ledger, output, .. } = self;
        output.own_failure.take_if(|_| ledger.unanswered().any(|sent| sent.sent_ns <= sent_ns))
    }

    /// Gives up what was not answered in time: sent at `sent_ns` or earlier.
    pub(super) fn expire(&mut self, sent_ns: u64, kit: &mut Kit) -> Result<(), End> {
        let overdue = self.began_ns <= sent_ns;
        match self.phase {
            Phase::Connecting if overdue => return Err(End::Refused(io::ErrorKind::TimedOut.into())),
            Phase::Closing if overdue => return Err(End::Broken),
            _ => {}
        }
        let now_ns = kit.now_ns;
        let lost = self.ledger.expire(sent_ns, |sent| _ = kit.tally.waited(sent, now_ns));
        kit.tally.faults.lost += lost;
        if lost > 0 && kit.churn { Err(End::Finished) } else { Ok(()) }
    }

    /// Reads and judges all that is there.
    fn receive(&mut self, kit: &mut Kit) -> Result<(), End> {
        let is_datagram = self.socket.is_datagram();
        while self.readable {
            if is_datagram && self.ledger.is_settled() && !kit.finishing {
                // Whatever there is would be at fault, and is found when the next answer is read, or at the end. It saves a call.
                return Ok(());
            }
            match self.socket.read(&mut kit.buffer) {
                Ok(0) if !is_datagram => {
                    return Err(if self.phase == Phase::Closing { End::Finished } else { End::Broken });
                }
                Ok(bytes) => {
                    self.judge(bytes, kit)?;
                    if self.socket.short_means_done() && bytes < kit.buffer.len() {
                        // An end that came along with these bytes has no event of its own.
                        self.readable = self.end;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ if is_datagram => kit.refusal = Some(error),
                    _ => return Err(End::Broken),
                },
            }
        }
        Ok(())
    }

    #[inline]
    fn judge(&mut self, bytes: usize, kit: &mut Kit) -> Result<(), End> {
        let now_ns = kit.look_at_clock();
        if self.ledger.in_flight() >= kit.max_in_flight {
            self.free_since_ns = now_ns;
        }
        kit.heard = true;
        let Kit { images, spares, tally, buffer, churn, .. } = kit;
        let exchanged = &mut self.exchanged;
        let told = |answer, bytes| match answer {
            Answer::Right(_) if *churn => *exchanged = Some(bytes),
            answer => tally.answered(answer, bytes, now_ns),
        };
        let input = buffer.get(..bytes).unwrap_or_default();
        if self.cutter.feed(input, &mut self.ledger, images, spares, told).is_err() {
            self.ledger.spoil();
            tally.faults.corrupted += 1;
            return Err(End::Garbled);
        }
        if *churn && self.phase == Phase::Open && self.ledger.next() > 0 && self.ledger.is_settled() {
            if self.socket.is_datagram() {
                return Err(End::Finished);
            }
            self.phase = Phase::Closing;
            // When it fails, the server has ended the connection first, and reading will say so.
            let _ = self.socket.shutdown_write();
        }
        Ok(())
    }

    /// Sends all that there is to send and that the socket takes.
    fn send(&mut self, kit: &mut Kit) -> Result<(), End> {
        while self.phase == Phase::Open && self.output.flush(&mut self.socket)? {
            kit.batch.clear();
            self.fill(kit);
            if kit.batch.len() == 0 {
                return Ok(());
            }
            let was_full = kit.batch.is_full();
            self.output.write(&mut self.socket, kit)?;
            if !was_full {
                return Ok(());
            }
            kit.look_at_clock();
        }
        Ok(())
    }

    /// Puts into the batch what is to be sent now.
    #[inline]
    fn fill(&mut self, kit: &mut Kit) {
        let now_ns = kit.now_ns;
        let Kit { images, batch, orders, tally, max_in_flight, .. } = kit;
        let mut push = |ledger: &mut Ledger, due_ns| {
            batch.push(&images.image(ledger.connection(), ledger.next()), images);
            ledger.send(Sent { due_ns, sent_ns: now_ns });
            !batch.is_full()
        };
        match orders {
            Orders::Keep(in_flight) => while self.ledger.in_flight() < *in_flight && push(&mut self.ledger, now_ns) {},
            Orders::Timetable(pace) => {
                while self.next < pace.due && self.ledger.in_flight() < *max_in_flight {
                    let due_ns = pace.due_ns(self.next);
                    self.next += pace.connections;
                    tally.sent(due_ns, now_ns.saturating_sub(due_ns.max(self.free_since_ns)));
                    if !push(&mut self.ledger, due_ns) {
                        break;
                    }
                }
            }
            Orders::Once if self.ledger.next() == 0 => _ = push(&mut self.ledger, now_ns),
            Orders::Once | Orders::Nothing => {}
        }
    }

    /// Sends without end, and reads nothing.
    fn flood(&mut self, kit: &mut Kit) -> Result<Wants, End> {
        if self.end {
            return Err(End::Broken);
        }
        for _ in 0..FLOOD_BATCHES {
            if kit.finishing || !self.output.flush(&mut self.socket)? {
                return Ok(Wants::Event);
            }
            kit.batch.clear();
            while !kit.batch.is_full() {
                #[allow(clippy::cast_possible_truncation, reason = "numbers wrap")]
                kit.batch.push(&kit.images.image(self.ledger.connection(), self.next as u32), &kit.images);
                self.next += 1;
            }
            self.output.write(&mut self.socket, kit)?;
        }
        Ok(Wants::Step)
    }
}
