//! What a connection's thread does between two waits: write, read within its budget, hand over what came, fire what is due.
//! The order is that of the reactor's turn, and so are the words.

use std::sync::atomic::Ordering;

use super::connection_thread::{Attendant, LOOK_AGAIN, Next, Wait};
use super::shared::Run;
use super::socket::Plug;
use crate::connection::{Connection, Phase, ReadOutcome};
use crate::service::CloseReason;
use crate::service::Peer;

/// Turns for which a peer is not called late while more of what it has sent is there to be read.
const MAX_UNHEARD: u32 = 64;

impl Attendant {
    pub(super) fn open(&mut self, conn: &mut Connection<Plug>, peer: &Peer) {
        // Nothing is written under a shared service's lock, a reply within its request neither.
        self.agent.desk.may_borrow_request = self.line.is_none();
        log::debug!("{} {peer} opened", self.booth.name);
        let peer = *peer;
        self.call(conn, |service, cx| service.on_open(cx, &peer));
        self.settle(conn);
    }

    pub(super) fn turn(&mut self, conn: &mut Connection<Plug>) -> Next {
        self.note_ready(conn);
        self.carried_jobs = self.agent.jobs.len();
        self.agent.desk.stats.turns += 1;
        self.heed(conn);
        let now = self.agent.desk.clock.moment;
        if let Err(reason) = conn.flush(now, &mut self.agent.desk.stats) {
            self.end(conn, reason);
        } else {
            let desk = &mut self.agent.desk;
            conn.update_backpressure(&desk.limits, now, &mut desk.stats);
            if conn.take_writable_due(&desk.limits) && conn.phase() == Phase::Open {
                self.call(conn, |service, cx| service.on_writable(cx));
            }
            if self.agent.desk.pending_actions.turn_end_requested {
                self.call(conn, |_, _| {});
            }
            self.read(conn);
        }
        self.tell_missed(conn);
        self.settle(conn);
        self.check_deadline(conn);
        if self.agent.has_timers {
            self.fire_timers(conn);
        }
        self.agent.publish();
        self.next(conn)
    }

    /// What others want of the connection: the engine, its members, and who looks after memory.
    fn heed(&mut self, conn: &mut Connection<Plug>) {
        if self.relief.is_none() && conn.flags().memory_paused {
            conn.flags().memory_paused = false;
        }
        if self.agent.tally.shed.load(Ordering::Relaxed) {
            self.shed(conn);
        }
        if let Some(line) = &self.line
            && let Err(reason) = line.take_post(conn, &mut self.agent.desk)
        {
            self.end(conn, reason);
        }
        let run = self.agent.exchange.run();
        if run != self.seen {
            self.seen = run;
            if run == Run::Draining {
                conn.close_when_answered(CloseReason::ShuttingDown);
            }
        }
        if run == Run::Stopped {
            self.end_at_once(conn);
        }
    }

    /// Reads until the socket is empty, the budget is spent, or the connection must not be read.
    fn read(&mut self, conn: &mut Connection<Plug>) {
        let mut budget = self.agent.desk.limits.read_budget_bytes;
        while budget > 0 && conn.wants_read(&self.agent.desk.limits) && self.takes_requests() {
            if let Some((bytes, used)) = conn.take_deferred() {
                let rest = self.hand_over(conn, bytes.get(used..).unwrap_or_default());
                let used = bytes.len() - rest;
                conn.put_back_deferred(bytes, used);
                continue;
            }
            let Some(most) = self.read_allowance(conn, budget) else { break };
            let framing = conn.framing();
            self.make_room(framing);
            let waits = std::mem::take(&mut self.waits_in_read);
            conn.stream_mut().set_waits(waits);
            let raw = conn.read_raw(&mut self.buffer, most, &mut self.agent.desk.buffer_pool);
            if waits {
                conn.stream_mut().set_waits(false);
                self.agent.look_at_the_clock();
                self.is_busy = !raw.would_block();
            }
            let is_full = raw.is_full();
            match conn.finish_read(raw, &mut self.agent.desk) {
                ReadOutcome::Bytes { total, buffered } => {
                    self.is_busy = true;
                    budget = budget.saturating_sub(total);
                    let buffer = std::mem::take(&mut self.buffer);
                    let input = buffer.get(..buffered).unwrap_or_default();
                    let rest = self.hand_over(conn, input);
                    conn.defer_input(input.get(buffered - rest..).unwrap_or_default());
                    self.buffer = buffer;
                    if is_full {
                        self.grow(framing);
                    }
                }
                ReadOutcome::WouldBlock => break,
                // To end its reading is how its thread was woken.
                ReadOutcome::Eof if self.agent.tally.shed.load(Ordering::Relaxed) => {
                    self.shed(conn);
                    break;
                }
                ReadOutcome::Eof => {
                    self.finish(conn);
                    break;
                }
                ReadOutcome::Failed(reason) => {
                    self.end(conn, reason);
                    break;
                }
            }
        }
        self.waits_in_read = false;
    }

    /// A peer is late only when all that it has sent has been read, or when it keeps sending.
    fn check_deadline(&mut self, conn: &mut Connection<Plug>) {
        self.unheard = if conn.flags().readable { self.unheard + 1 } else { 0 };
        if (1..MAX_UNHEARD).contains(&self.unheard) {
            return;
        }
        let desk = &self.agent.desk;
        if let Some((at, due)) = conn.deadline(&desk.limits)
            && at <= desk.clock.moment
        {
            let reason = conn.timeout_reason(due, &desk.limits);
            self.end(conn, reason);
            self.settle(conn);
        }
    }

    /// After anything was done with the connection: what it holds, and whether it ends.
    pub(super) fn settle(&mut self, conn: &mut Connection<Plug>) {
        loop {
            let desk = &mut self.agent.desk;
            let now = desk.clock.moment;
            conn.update_backpressure(&desk.limits, now, &mut desk.stats);
            if conn.is_answered()
                && let Some(reason) = conn.close_reason().cloned()
            {
                self.end(conn, reason);
            }
            if self.ending {
                self.say_goodbye(conn);
                continue;
            }
            // A read into no room would look like the peer's end.
            if conn.phase() == Phase::Lingering || conn.phase() == Phase::Flushing {
                self.make_room(conn.framing());
            }
            conn.advance_close(&mut self.buffer, now);
            self.count(conn);
            if self.agent.exchange.budget.is_over() {
                self.hold_back(conn);
            }
            return;
        }
    }

    fn next(&mut self, conn: &mut Connection<Plug>) -> Next {
        if self.agent.exchange.run() == Run::Stopped {
            return Next::Leave;
        }
        // Work outlives its connection: who is over may still have asked for some in its goodbye.
        let is_over = conn.phase() == Phase::Closed;
        if !self.agent.jobs.is_empty() {
            if is_over {
                self.hang_up();
            }
            return Next::Work;
        }
        if is_over {
            return Next::Leave;
        }
        // Of an instance, nobody else will ask.
        let desk = &self.agent.desk;
        let has_to_tell =
            conn.phase() == Phase::Open && (desk.pending_actions.turn_end_requested || !desk.dropped.is_empty());
        if has_to_tell || conn.wants_step(&desk.limits) {
            // Without the time, no deadline would come for a peer that always has more to be read.
            self.agent.look_at_the_clock();
            return Next::Again;
        }
        Next::Wait(self.what_to_wait_for(conn))
    }

    fn what_to_wait_for(&mut self, conn: &mut Connection<Plug>) -> Wait {
        let limits = &self.agent.desk.limits;
        let write = conn.pending_bytes() > 0;
        // Others need not wake this thread for what it waits for by itself.
        conn.flags().scheduled = write;
        let in_read = conn.may_receive(limits) && conn.close_reason().is_none();
        let read = in_read || conn.phase() == Phase::Lingering;
        let own = conn.deadline(limits).map(|(at, _)| at);
        let timer = self.agent.has_timers.then(|| self.agent.exchange.alarms.next_of(self.id)).flatten();
        let unable_to_hear = conn.flags().memory_paused && self.relief.is_none();
        let look = unable_to_hear.then(|| self.agent.desk.clock.moment + LOOK_AGAIN);
        let deadline = [own, timer, look].into_iter().flatten().min();
        Wait { read, in_read, write, end: !read && !conn.flags().eof_reported, deadline }
    }

    /// What to look at without waiting, between one job and the next; nothing where no job waits.
    pub(super) fn what_to_glance_at(&mut self, conn: &mut Connection<Plug>) -> Option<Wait> {
        if self.agent.jobs.is_empty() || conn.phase() == Phase::Closed {
            return None;
        }
        let now = self.agent.desk.clock.moment;
        Some(Wait { deadline: Some(now), ..self.what_to_wait_for(conn) })
    }

    /// Whether the service may be given more. A request that offloads work is the last for this turn; what earlier work has
    /// offloaded in its turn keeps nobody from being heard.
    pub(super) fn takes_requests(&self) -> bool {
        let waiting = self.agent.jobs.len();
        waiting <= self.carried_jobs && waiting < self.agent.desk.limits.max_queued_jobs
    }
}
