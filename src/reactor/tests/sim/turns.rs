//! The turns of a simulated run, the checks after each, and the passing of time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{ECHO_UDP, World};
use crate::connection::{Connection, Phase};
use crate::engine::run_state::RunState;
use crate::reactor::event_loop::EventLoop;
use crate::reactor::scripted_check as check;

/// Turns in a row without any effect after which the loop counts as spinning. Some may accept only
/// errors.
const MAX_IDLE_TURNS: usize = 20;

/// Turns after which a loop that still has work counts as spinning.
const MAX_TURNS: usize = 20_000;

impl World {
    /// Runs one turn, lets the peers read, and checks everything.
    pub(super) fn turn(&mut self) -> Result<(), String> {
        self.event_loop.run_turn().map_err(|error| format!("the poll failed: {error}"))?;
        let now = self.script.now();
        let time = now - std::mem::replace(&mut self.last_turn, now);
        let EventLoop { connections, shared, .. } = &self.event_loop;
        for peer in &mut self.peers {
            let conn = self.script.key_of(&peer.socket).and_then(|key| connections.get(key));
            let is_open = |conn: &&Connection<_>| conn.phase() == Phase::Open;
            peer.times
                .note_turn(time, conn.filter(is_open).is_some_and(|conn| !conn.may_receive(&shared.worker.limits)));
            let told = self.watch.told();
            let conn = told.of_port(peer.port);
            let (is_opened, closed) = (conn.is_some(), conn.and_then(|conn| conn.closed.clone()));
            drop(told);
            let checked = peer.read_at_once(is_opened, &mut self.log, now);
            let checked = checked.and_then(|()| closed.map_or(Ok(()), |(reason, at)| peer.check_close(&reason, at)));
            checked.map_err(|error| format!("peer {} ({:?}): {error}", peer.port, peer.kind))?;
        }
        self.check_echoed_datagrams()?;
        if self.event_loop.shared.run_state == RunState::Draining {
            self.drain_began.get_or_insert(now);
        }
        if let Some(violation) = self.watch.told().violation.take() {
            return Err(violation);
        }
        if self.event_loop.shared.worker.stats.panics > 0 {
            return Err("a callback or a job panicked".to_owned());
        }
        check::after_turn(&self.event_loop, &self.script)
    }

    /// Checks that the echoes of datagrams are some of those that were sent, in order.
    fn check_echoed_datagrams(&mut self) -> Result<(), String> {
        let (expected, received) = &mut self.echoes;
        for (to, payload) in self.script.sent_from(ECHO_UDP, *received) {
            *received += 1;
            let Some(at) = expected.iter().position(|known| (known.0, &known.1) == (to, &payload)) else {
                return Err(format!("a datagram to {to} is not an echo: {payload:?}"));
            };
            expected.drain(..=at);
        }
        Ok(())
    }

    /// Runs turns until the loop would sleep. Returns the time that it would sleep for.
    pub(super) fn run_until_idle(&mut self) -> Result<Option<Duration>, String> {
        let mut idle_turns = 0;
        for _ in 0..MAX_TURNS {
            let before = self.effects();
            self.turn()?;
            let polled = self.script.last_poll();
            if !self.event_loop.is_running() {
                return Ok(polled.timeout);
            }
            let is_over = polled.events == 0 && polled.timeout != Some(Duration::ZERO);
            let has_more = self.event_loop.has_work() || self.woken.load(Ordering::Relaxed);
            if is_over && !has_more && !self.script.owes_events() {
                self.is_late = false;
                return self.check_idle(polled.timeout).map(|()| polled.timeout);
            }
            let has_effect = polled.events > 0 || polled.timeout != Some(Duration::ZERO) || self.effects() != before;
            idle_turns = if has_effect { 0 } else { idle_turns + 1 };
            if idle_turns > MAX_IDLE_TURNS {
                return Err(format!("the loop spins: {}", self.event_loop.shared.worker.stats));
            }
        }
        Err(format!("the loop does not become idle: {}", self.event_loop.shared.worker.stats))
    }

    fn check_idle(&self, timeout: Option<Duration>) -> Result<(), String> {
        check::when_idle(&self.event_loop, timeout)?;
        let now = self.script.now();
        let told = self.watch.told();
        let next = told.timers.values().map(|timer| timer.due).min();
        if let Some(due) = next
            && (due <= now || timeout.is_none_or(|timeout| timeout > due - now))
        {
            return Err(format!("a timer is due, and the loop sleeps for {timeout:?}"));
        }
        let drain_timeout = self.event_loop.shared.worker.limits.drain_timeout;
        if self.drain_began.is_some_and(|began| now >= began + drain_timeout) {
            return Err("the drain did not end by its deadline".to_owned());
        }
        Ok(())
    }

    /// Returns counts that change with any effect of a turn: callbacks and calls of the system.
    fn effects(&self) -> (u64, u64, usize) {
        let stats = &self.event_loop.shared.worker.stats;
        let calls = self.peers.iter().map(|peer| peer.socket.calls_made());
        let events =
            stats.accepted + stats.refused + stats.datagrams_in + stats.datagrams_out + stats.datagrams_dropped;
        (events + stats.accept_pauses, self.watch.told().callbacks, calls.map(|(reads, writes)| reads + writes).sum())
    }

    /// Lets time pass while the loop sleeps and wakes as it has asked to.
    pub(super) fn elapse(&mut self, time: Duration) -> Result<(), String> {
        self.clear_scripts();
        let mut left = time;
        while !left.is_zero() {
            let timeout = self.run_until_idle()?;
            if !self.event_loop.is_running() {
                return Ok(());
            }
            let step = timeout.map_or(left, |timeout| timeout.min(left));
            self.script.advance(step);
            left -= step;
        }
        self.run_until_idle().map(|_| ())
    }

    /// Lets time pass while the loop does not run.
    pub(super) fn pause(&mut self, time: Duration) {
        self.clear_scripts();
        self.script.advance(time);
        self.is_late = true;
    }

    pub(super) fn clear_scripts(&mut self) {
        self.peers.iter().for_each(|peer| peer.socket.clear_script());
    }
}
