//! The interface through which a caller follows a run, and can end it early.

use std::ops::ControlFlow;

use super::outcome::{Faults, LoadSample};
use super::phases::LoadPhase;
use super::search_result::RateStep;

/// Callbacks about a run. All run on the generator's thread, so a slow callback delays the load.
pub trait LoadObserver {
    /// The measured time begins: the connections are open, and the warm-up is over.
    fn on_measure_start(&mut self) {}

    /// Receives the state of the run about ten times a second. [`ControlFlow::Break`] ends the run
    /// early; its outcome covers the time measured until then.
    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        let _ = progress;
        ControlFlow::Continue(())
    }

    /// The measured time is over; all connections are still open.
    fn on_measure_end(&mut self) {}

    /// [`find_max`](super::find_max) has finished one step of its search.
    fn on_step(&mut self, step: &RateStep) {
        let _ = step;
    }
}

/// An observer that ignores every callback.
impl LoadObserver for () {}

/// The state of a run while it goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadProgress {
    /// The current phase.
    pub phase: LoadPhase,
    /// The elapsed part of the phase, from 0 to 1.
    pub done: f64,
    /// Connections open now, without slow readers.
    pub connections: usize,
    /// The latest sample; `None` before the first.
    pub last_sample: Option<LoadSample>,
    /// Faults since the start of the run.
    pub faults: Faults,
}
