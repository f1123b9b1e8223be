//! The end of a simulated run: everything is read, answered and closed, and nothing is left.

use super::peer::Peer;
use super::scenario::READS_AT_ONCE;
use super::world::{CHAT_UDP, ECHO_UDP, World};
use crate::engine::run_state::RunState;
use crate::reactor::scripted_check::bytes_of_removed;

impl World {
    /// Lets every peer read, every job end and every peer close. Then the loop has no connection,
    /// and a drain ends it.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.clear_scripts();
        let now = self.script.now();
        self.peers.iter_mut().for_each(Peer::read_everything);
        self.peers.iter_mut().for_each(|peer| peer.complete(now));
        self.give_udp_room(ECHO_UDP);
        self.give_udp_room(CHAT_UDP);
        self.run_with_jobs()?;
        self.peers.iter_mut().for_each(Peer::finish);
        self.run_with_jobs()?;
        if self.event_loop.is_running() && self.event_loop.shared.run_state == RunState::Serving {
            let open =
                self.event_loop.connections.iter().map(|(_, conn)| format!("{} {:?}", conn.peer(), conn.phase()));
            let open: Vec<_> = open.collect();
            if !open.is_empty() {
                return Err(format!("every peer has closed, but these are open: {open:?}"));
            }
            self.handle.drain();
            self.run_with_jobs()?;
        }
        if self.event_loop.is_running() {
            self.elapse(self.event_loop.shared.worker.limits.drain_timeout)?;
        }
        if self.event_loop.is_running() {
            return Err("the drain does not end".to_owned());
        }
        self.event_loop.close_all();
        self.check_end()
    }

    fn run_with_jobs(&mut self) -> Result<(), String> {
        while self.event_loop.is_running() {
            self.run_until_idle()?;
            if !self.event_loop.shared.threads.job_pools.run_queued(0) {
                break;
            }
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), String> {
        let (stats, now) = (self.event_loop.shared.worker.stats.clone(), self.script.now());
        let held = stats.buffered_bytes - bytes_of_removed(&self.event_loop) as u64;
        let counts = [stats.open, held, self.event_loop.shared.timers.of_connections() as u64];
        if counts != [0; 3] || stats.accepted != stats.closed + stats.faulted {
            return Err(format!("something is left after the last connection: {stats}"));
        }
        let (is_stopped, drops) = (self.is_stopped, self.log.may_drop);
        for peer in &mut self.peers {
            let told = self.watch.told();
            let conn = told.of_port(peer.port);
            if let Some(conn) = conn
                && conn.closed.is_none()
            {
                return Err(format!("peer {}: on_open without on_close", peer.port));
            }
            let reason = conn.and_then(|conn| conn.closed.as_ref()).map(|(reason, _)| reason.clone());
            let is_opened = conn.is_some();
            drop(told);
            let checked = peer.read(READS_AT_ONCE, is_opened, &mut self.log, now);
            let checked = checked.and_then(|()| peer.check_end(reason.as_ref(), is_stopped, drops));
            checked.map_err(|error| format!("peer {} ({:?}): {error}", peer.port, peer.kind))?;
        }
        Ok(())
    }

    /// Returns what tells two runs apart.
    pub(super) fn trace(&self) -> String {
        let told = self.watch.told();
        let closes =
            told.conns.values().map(|conn| format!("{} {:?}", conn.port, conn.closed.as_ref().map(|it| &it.0)));
        let closes: Vec<_> = closes.collect();
        let written: Vec<_> = self.peers.iter().map(|peer| peer.socket.written().len()).collect();
        format!("{} {} {closes:?} {written:?}", self.event_loop.shared.worker.stats, told.callbacks)
    }
}
