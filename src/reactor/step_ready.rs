//! Step 5: the owners in the ready queue, each at most once, within a bounded time.

use super::driver::{Driver, SourceKind};
use super::event_loop::EventLoop;
use super::shared::PHASE_SHARES;
use super::turn_meter::WorkOwner;
use crate::engine::lag::Work;
use crate::engine::slab::reserved_number;

/// Steps of owners with news before the clock is read. A turn with fewer of them does not read it.
const STEPS_BEFORE_LOOK: u32 = 8;

impl<D: Driver> EventLoop<D> {
    /// Steps the owners with news, and then those that have used up a share in an earlier turn,
    /// each once. A step may queue its owner again, for the next turn.
    ///
    /// Both have a bounded time, and then the others wait for the next turn, so that timers, jobs
    /// and the next poll do not wait for all of them. At least one of those that continue is
    /// stepped, so none waits for ever.
    pub(super) fn step_ready(&mut self) {
        let (fresh, continued) = self.shared.ready.len();
        let mut budget = self.shared.budget(PHASE_SHARES);
        budget.begin(STEPS_BEFORE_LOOK);
        for _ in 0..fresh {
            let Some(key) = self.shared.ready.pop() else { break };
            self.step_owner(key);
            budget.count(1);
            if !budget.has_time(|| self.driver.now()) {
                break;
            }
        }
        if continued == 0 {
            return;
        }
        let mut budget = self.shared.budget(1).begun_at(self.driver.now());
        for _ in 0..continued {
            let Some(key) = self.shared.ready.pop_continued() else { break };
            self.step_owner(key);
            budget.count(1);
            if !budget.has_time(|| self.driver.now()) {
                break;
            }
        }
    }

    fn step_owner(&mut self, key: usize) {
        match reserved_number(key) {
            None => {
                self.step(key);
                self.note_work(Work::FRAMES, WorkOwner::Connection(key));
            }
            Some(number) => {
                self.step_source(number);
                self.note_source(number);
            }
        }
        self.close_largest_if_exceeded();
        self.drain_if_requested();
    }

    fn step(&mut self, key: usize) {
        if let Some(step) = self.step_of(key) {
            step.run();
        }
    }

    fn step_source(&mut self, number: usize) {
        let Some(state) = self.shared.sources.get_mut(number) else { return };
        state.scheduled = false;
        match state.source.kind {
            SourceKind::Listener(framing) => self.accept(number, framing),
            SourceKind::Udp { .. } => self.step_udp(number),
            SourceKind::Closed => {}
            SourceKind::CommandPipe(command) => {
                self.driver.clear_wakeup(number);
                self.run_command(command);
            }
        }
    }
}
