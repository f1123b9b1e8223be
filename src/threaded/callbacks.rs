//! How a connection's thread calls the service: with its lock, if others call it too; and what has to wait until that is let
//! go of.
//!
//! Under one taking of the lock a turn's callbacks are made, and then the service says what it has collected over them.

use super::connection_thread::Attendant;
use super::socket::Plug;
use super::worker::{Agent, Done, Own};
use crate::connection::write_queue::DroppedBatch;
use crate::connection::{Connection, DispatchOutcome, Phase};
use crate::service::Context;
use crate::service::Service;

impl Attendant {
    /// Has the service answer the frames in `input`; returns how many of its bytes have to wait.
    pub(super) fn hand_over(&mut self, conn: &mut Connection<Plug>, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            let Self { agent, service, line, id, booth, carried_jobs, .. } = self;
            let Some(mut service) = service.lock() else { return 0 };
            // What others said to it before comes before what is answered now.
            let mut received = match line.as_ref().map_or(Ok(()), |line| line.take_post(conn, &mut agent.desk)) {
                Ok(()) => Ok(()),
                Err(reason) => Err(DispatchOutcome::Failed(reason)),
            };
            while received.is_ok() {
                let got = conn.dispatch(&mut input, bytes, *id, service.get(), &mut agent.desk);
                agent.apply(booth.id, *id, Some(Own { id: *id, conn, line: line.as_deref(), received: bytes }));
                if !matches!(got, DispatchOutcome::ActionsPending)
                    || agent.jobs.len() > *carried_jobs
                    || !may_go_on(conn, agent)
                {
                    received = Err(got);
                }
            }
            agent.let_flush(
                service.get(),
                booth.id,
                Some(Own { id: *id, conn, line: line.as_deref(), received: bytes }),
            );
            drop(service);
            let received = received.err().unwrap_or(DispatchOutcome::InputUsed);
            self.conclude(conn, bytes);
            if let DispatchOutcome::Failed(reason) = received {
                self.end(conn, reason);
                return 0;
            }
            let desk = &mut self.agent.desk;
            conn.update_backpressure(&desk.limits, desk.clock.moment, &mut desk.stats);
            if matches!(received, DispatchOutcome::InputUsed) || conn.phase() != Phase::Open {
                return 0;
            }
            if !conn.may_receive(&desk.limits) || !self.takes_requests() {
                return input.len();
            }
        }
    }

    /// After callbacks, without the service's lock: writes the replies, which may lie in what was `received`, and what was
    /// said to others.
    fn conclude(&mut self, conn: &mut Connection<Plug>, received: &[u8]) {
        let sent = self.agent.send_replies(&mut Own { id: self.id, conn, line: self.line.as_deref(), received });
        self.agent.deliver();
        if let Err(reason) = sent {
            self.end(conn, reason);
        }
        if let Some(reason) = self.agent.own_end.take() {
            self.end(conn, reason);
        }
    }

    /// The peer has sent all it wanted: once that is answered, the connection ends.
    pub(super) fn finish(&mut self, conn: &mut Connection<Plug>) {
        let Self { agent, service, line, id, booth, .. } = self;
        let Some(mut service) = service.lock() else { return };
        let posted = line.as_ref().map_or(Ok(()), |line| line.take_post(conn, &mut agent.desk));
        let finished = posted.and_then(|()| conn.finish_input(*id, service.get(), &mut agent.desk));
        let mut own = Own { id: *id, conn, line: line.as_deref(), received: &[] };
        agent.apply(booth.id, *id, Some(own.again()));
        agent.let_flush(service.get(), booth.id, Some(own));
        drop(service);
        match finished {
            Ok(reason) => {
                conn.close_when_answered(reason);
                self.conclude(conn, &[]);
            }
            Err(reason) => self.end(conn, reason),
        }
    }

    /// Makes one callback that is not about a frame, and does what it asked for.
    pub(super) fn call(
        &mut self,
        conn: &mut Connection<Plug>,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>),
    ) {
        let Self { agent, service, line, id, booth, .. } = self;
        let Some(mut service) = service.lock() else { return };
        let posted = line.as_ref().map_or(Ok(()), |line| line.take_post(conn, &mut agent.desk));
        let own = Own { id: *id, conn, line: line.as_deref(), received: &[] };
        agent.call(service.get(), (booth.id, *id), Some(own), callback);
        drop(service);
        self.conclude(conn, &[]);
        if let Err(reason) = posted {
            self.end(conn, reason);
        }
    }

    /// Tells the service what came of its work.
    pub(super) fn job_done(&mut self, conn: &mut Connection<Plug>, (job, output): Done) {
        self.agent.look_at_the_clock();
        conn.job_ended();
        self.call(conn, |service, cx| service.on_job(cx, job, output));
        self.settle(conn);
        self.agent.publish();
    }

    pub(super) fn fire_timers(&mut self, conn: &mut Connection<Plug>) {
        for timer in self.agent.exchange.alarms.due(self.id, self.agent.desk.clock.moment) {
            let Self { agent, service, line, id, booth, .. } = self;
            // Under the service's lock, so that a timer is silent from the moment on in which it is taken back.
            let Some(mut service) = service.lock() else { return };
            if agent.exchange.alarms.take(timer).is_none() {
                continue;
            }
            let posted = line.as_ref().map_or(Ok(()), |line| line.take_post(conn, &mut agent.desk));
            let own = Own { id: *id, conn, line: line.as_deref(), received: &[] };
            agent.call(service.get(), (booth.id, *id), Some(own), |service, cx| service.on_timer(cx, timer));
            drop(service);
            self.conclude(conn, &[]);
            if let Err(reason) = posted {
                self.end(conn, reason);
            }
            self.settle(conn);
        }
    }

    /// Tells the service which batches its peer has missed. What it misses by this is told in the next turn.
    pub(super) fn tell_missed(&mut self, conn: &mut Connection<Plug>) {
        let missed = match &self.line {
            Some(line) => line.take_missed(),
            None => std::mem::take(&mut self.agent.desk.dropped),
        };
        for DroppedBatch { batch: ticket, frames } in missed {
            if conn.phase() == Phase::Open {
                self.call(conn, |service, cx| service.on_dropped(cx, ticket, frames));
            }
        }
    }
}

/// Whether the next frame may be handed over before anything is written.
fn may_go_on(conn: &Connection<Plug>, agent: &Agent) -> bool {
    conn.phase() == Phase::Open
        && conn.pending_bytes() <= agent.desk.limits.high_water_bytes()
        && !agent.desk.replies.should_write()
        && agent.own_end.is_none()
}
