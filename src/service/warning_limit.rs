//! The rate limit of the warnings that peers can cause.
//!
//! A peer that is rejected a thousand times per second must not fill the log, and must not hide the
//! warnings of other causes. At most [`MAX_LINES`] warnings of one cause are logged in [`WINDOW`].
//! When the window ends, one line gives the number of those left out.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::time::Timestamp;

/// Warnings of one cause that are logged in one [`WINDOW`].
pub(crate) const MAX_LINES: u32 = 10;

/// The time for which warnings of one cause are counted together.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// The warnings of one engine, counted by service and cause. All its threads share it.
pub(crate) struct WarningLimit {
    /// Few: the causes are constants of the program.
    windows: Mutex<Vec<Window>>,
    /// Warnings left out since the engine's start.
    left_out: AtomicU64,
    /// Some window has left out a warning that is not reported yet.
    has_left_out: AtomicBool,
    /// Wakes the thread that calls [`report`](Self::report), if another thread may leave out a
    /// warning while it waits.
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The warnings of one cause.
struct Window {
    /// The service's name; empty if the cause names it.
    service: Box<str>,
    cause: &'static str,
    ends: Timestamp,
    lines: u32,
    left_out: u64,
}

/// The line about warnings that were left out.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    count: u64,
    service: Box<str>,
    cause: &'static str,
}

impl WarningLimit {
    pub(crate) fn new(wake: Option<Box<dyn Fn() + Send + Sync>>) -> Self {
        Self { windows: Mutex::default(), left_out: AtomicU64::new(0), has_left_out: AtomicBool::new(false), wake }
    }

    /// Logs `line`, or counts it if [`MAX_LINES`] of this cause are logged already.
    pub(crate) fn warn(&self, now: Timestamp, service: &str, cause: &'static str, line: fmt::Arguments<'_>) {
        let (earlier, is_admitted) = self.admit(now, service, cause);
        if let Some(earlier) = earlier {
            log::warn!("{earlier}");
        }
        if is_admitted {
            log::warn!("{line}");
        }
    }

    /// Counts one warning. Returns true if it may be logged, and what the window before has left
    /// out.
    fn admit(&self, now: Timestamp, service: &str, cause: &'static str) -> (Option<LeftOut>, bool) {
        let mut windows = self.lock();
        let known = windows.iter().position(|window| window.cause == cause && *window.service == *service);
        let at = known.unwrap_or_else(|| {
            windows.push(Window { service: service.into(), cause, ends: now + WINDOW, lines: 0, left_out: 0 });
            windows.len() - 1
        });
        let Some(window) = windows.get_mut(at) else { return (None, true) };
        let earlier = (window.ends <= now).then(|| {
            (window.ends, window.lines) = (now + WINDOW, 0);
            window.take_left_out()
        });
        let is_admitted = window.lines < MAX_LINES;
        if is_admitted {
            window.lines += 1;
        } else {
            window.left_out += 1;
            self.left_out.fetch_add(1, Ordering::Relaxed);
            let is_first = window.left_out == 1;
            self.has_left_out.store(true, Ordering::Relaxed);
            drop(windows);
            if let Some(wake) = self.wake.as_ref().filter(|_| is_first) {
                wake();
            }
        }
        (earlier.flatten(), is_admitted)
    }

    /// Returns the number of warnings left out since the engine's start.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Returns the time at which [`report`](Self::report) has something to log.
    pub(crate) fn next_report(&self) -> Option<Timestamp> {
        // Nearly always false, so a turn of the loop takes no lock here.
        if !self.has_left_out.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().iter().filter(|window| window.left_out > 0).map(|window| window.ends).min()
    }

    /// Logs the number of warnings left out in each window that has ended by `now`.
    pub(crate) fn report(&self, now: Timestamp) {
        if self.has_left_out.load(Ordering::Relaxed) {
            self.take_left_out(|window| window.ends <= now).iter().for_each(|line| log::warn!("{line}"));
        }
    }

    /// Logs the number of warnings left out in all windows, because the engine ends.
    pub(crate) fn report_all(&self) {
        self.take_left_out(|_| true).iter().for_each(|line| log::warn!("{line}"));
    }

    fn take_left_out(&self, is_due: impl Fn(&Window) -> bool) -> Vec<LeftOut> {
        let mut windows = self.lock();
        let due = windows.iter_mut().filter(|window| is_due(window)).filter_map(Window::take_left_out).collect();
        let has_more = windows.iter().any(|window| window.left_out > 0);
        self.has_left_out.store(has_more, Ordering::Relaxed);
        due
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn take_left_out(&mut self) -> Option<LeftOut> {
        let count = std::mem::take(&mut self.left_out);
        (count > 0).then(|| LeftOut { count, service: self.service.clone(), cause: self.cause })
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, service, cause } = self;
        let gap = if service.is_empty() { "" } else { " " };
        write!(f, "warnings left out within {WINDOW:?}: {count} more of '{service}{gap}{cause}'")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const START: Timestamp = Timestamp::START;

    fn left_out(count: u64, service: &str, cause: &'static str) -> LeftOut {
        LeftOut { count, service: service.into(), cause }
    }

    /// Counts `count` warnings and returns the number of those that may be logged.
    fn admitted(limit: &WarningLimit, now: Timestamp, service: &str, cause: &'static str, count: u32) -> u32 {
        (0..count).map(|_| u32::from(limit.admit(now, service, cause).1)).sum()
    }

    #[test]
    fn each_cause_of_each_service_has_its_own_limit() {
        let limit = WarningLimit::new(None);
        for (service, cause) in [("echo", "flood"), ("chat", "flood"), ("chat", "bad frame")] {
            assert_eq!(admitted(&limit, START, service, cause, MAX_LINES + 5), MAX_LINES, "{service} {cause}");
        }
        assert_eq!(limit.next_report(), Some(START + WINDOW));
        assert!(limit.take_left_out(|window| window.ends <= START).is_empty(), "the windows have not ended");
        let all = limit.take_left_out(|window| window.ends <= START + WINDOW);
        assert_eq!(all, [left_out(5, "echo", "flood"), left_out(5, "chat", "flood"), left_out(5, "chat", "bad frame")]);
        assert_eq!(limit.next_report(), None);
    }

    #[test]
    fn a_warning_after_the_window_reports_it_and_starts_the_next() {
        let limit = WarningLimit::new(None);
        admitted(&limit, START, "echo", "flood", MAX_LINES + 7);
        let later = START + WINDOW;
        assert_eq!(limit.admit(later, "echo", "flood"), (Some(left_out(7, "echo", "flood")), true));
        assert_eq!(admitted(&limit, later, "echo", "flood", MAX_LINES), MAX_LINES - 1);
        assert_eq!(limit.next_report(), Some(later + WINDOW));
    }

    #[test]
    fn the_first_warning_left_out_wakes_the_reporting_thread() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let limit = WarningLimit::new(Some(Box::new(move || _ = counter.fetch_add(1, Ordering::Relaxed))));
        admitted(&limit, START, "", "chat flood", MAX_LINES);
        assert_eq!((wakes.load(Ordering::Relaxed), limit.next_report()), (0, None));
        admitted(&limit, START, "", "chat flood", 3);
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_line_names_the_service_and_the_cause() {
        for (line, text) in [
            (left_out(3, "echo", "bad frame"), "warnings left out within 10s: 3 more of 'echo bad frame'"),
            (left_out(1, "", "chat flood"), "warnings left out within 10s: 1 more of 'chat flood'"),
        ] {
            assert_eq!(line.to_string(), text);
        }
    }
}
