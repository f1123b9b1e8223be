//! The last panics of a service. A service that panics repeatedly is stopped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::panic_policy::PanicPolicy;
use super::time::Timestamp;

/// The last panics of a service, shared by all its instances.
#[derive(Debug, Default)]
pub(crate) struct PanicHistory {
    is_stopped: AtomicBool,
    /// The times of the last panics, at most [`PanicPolicy::MAX_PANICS`], the oldest first.
    times: Mutex<VecDeque<Timestamp>>,
}

impl PanicHistory {
    /// Returns true if the service is stopped: none of its callbacks is called but `on_close`.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Notes a panic. Returns true if it stops the service, which happens once.
    pub(crate) fn note(&self, now: Timestamp) -> bool {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == PanicPolicy::MAX_PANICS {
            times.pop_front();
        }
        times.push_back(now);
        let is_full = times.len() == PanicPolicy::MAX_PANICS;
        // The clocks of threads are not read in the order of their panics.
        let is_close = times.front().is_some_and(|first| now.saturating_since(*first) <= PanicPolicy::WINDOW);
        is_full && is_close && !self.is_stopped.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Returns the number of the panic that stops a service which panics at these times.
    fn stopped_by(millis: impl IntoIterator<Item = u64>) -> Option<usize> {
        let (start, history) = (Instant::now(), PanicHistory::default());
        let at = |millis| Timestamp::new(start, start + Duration::from_millis(millis));
        let stopped = millis.into_iter().position(|millis| history.note(at(millis)));
        assert_eq!(history.is_stopped(), stopped.is_some());
        stopped.map(|at| at + 1)
    }

    #[test]
    fn the_fifth_panic_within_ten_seconds_stops_a_service() {
        assert_eq!(stopped_by([0, 0, 0, 0, 0]), Some(5));
        assert_eq!(stopped_by([0, 2_500, 5_000, 7_500, 10_000]), Some(5));
        assert_eq!(stopped_by([0, 2_500, 5_000, 7_500]), None);
    }

    #[test]
    fn older_panics_do_not_count() {
        assert_eq!(stopped_by([0, 2_500, 5_000, 7_500, 10_001]), None);
        assert_eq!(stopped_by((0..100).map(|number| number * 2_501)), None);
        assert_eq!(stopped_by([0, 9_000, 9_000, 9_000, 12_000, 19_000]), Some(6));
    }

    #[test]
    fn a_service_is_stopped_once() {
        let (start, history) = (Instant::now(), PanicHistory::default());
        let stops = (0..20).filter(|_| history.note(Timestamp::new(start, start))).count();
        assert_eq!(stops, 1);
    }
}
