//! Observers that end a run, or a server's stall, when an event has been reported.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use switchboard::load::{LoadObserver, LoadPhase, LoadProgress};

/// The measured time of a run that its observer ends.
pub(crate) const UNTIL_STOPPED: Duration = Duration::from_hours(1);

/// An observer that ends the run at the first report for which the condition holds.
pub(crate) struct StopWhen<F>(pub(crate) F);

impl<F: FnMut(&LoadProgress) -> bool> LoadObserver for StopWhen<F> {
    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        assert!((0.0..=1.0).contains(&progress.done), "{progress:?}");
        if (self.0)(progress) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Returns true if an answer has arrived in the measured time.
pub(crate) fn has_answers(progress: &LoadProgress) -> bool {
    progress.phase == LoadPhase::Measuring && progress.last_sample.is_some_and(|sample| sample.messages > 0)
}

/// A server's stall. It lasts until the test ends it.
#[derive(Clone, Default)]
pub(crate) struct Stall(Arc<(Mutex<StallTimes>, Condvar)>);

#[derive(Default)]
struct StallTimes {
    began: Option<Instant>,
    ended: Option<Instant>,
}

impl Stall {
    /// Begins the stall if it has not begun, and waits for its end.
    pub(crate) fn wait(&self) {
        let mut times = self.0.0.lock().unwrap();
        times.began.get_or_insert_with(Instant::now);
        while times.ended.is_none() {
            times = self.0.1.wait(times).unwrap();
        }
    }

    pub(crate) fn end(&self) {
        self.0.0.lock().unwrap().ended.get_or_insert_with(Instant::now);
        self.0.1.notify_all();
    }

    pub(crate) fn began(&self) -> Option<Instant> {
        self.0.0.lock().unwrap().began
    }

    pub(crate) fn ended(&self) -> Option<Instant> {
        self.0.0.lock().unwrap().ended
    }
}

/// An observer that ends the stall at the first report for which the condition holds. The condition
/// receives the time since the stall began.
pub(crate) struct EndStallWhen<F> {
    pub(crate) stall: Stall,
    pub(crate) condition: F,
    /// The time at which the measured time began, or shortly before.
    pub(crate) measure_began: Option<Instant>,
}

impl<F> EndStallWhen<F> {
    pub(crate) fn new(stall: Stall, condition: F) -> Self {
        Self { stall, condition, measure_began: None }
    }
}

impl<F: FnMut(Duration, &LoadProgress) -> bool> LoadObserver for EndStallWhen<F> {
    fn on_measure_start(&mut self) {
        self.measure_began = Some(Instant::now());
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        if let Some(began) = self.stall.began()
            && (self.condition)(began.elapsed(), progress)
        {
            self.stall.end();
        }
        ControlFlow::Continue(())
    }
}

/// No server thread is left behind in the stall.
impl<F> Drop for EndStallWhen<F> {
    fn drop(&mut self) {
        self.stall.end();
    }
}
