//! The rate limit of the lines that peers can cause in the log.
//!
//! A peer that is rejected a thousand times per second must not fill the log, and must not hide the
//! lines of other causes. At most [`MAX_LINES`] lines of one cause are logged in a window of
//! [`WINDOW`]. When the window ends, one line gives the number of those left out. While a cause
//! goes on beyond its limit, each window is twice as long as the one before, up to [`MAX_WINDOW`].

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Record};

use super::time::Timestamp;

/// Lines of one cause that are logged in one window.
pub(crate) const MAX_LINES: u32 = 10;

/// The time for which lines of one cause are counted together.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// The longest window.
const MAX_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Bytes of one line. A peer's text in it is shorter; the backtrace of a panic may be as long.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// The lines of one engine, counted by service, event and cause. All its threads share it.
pub(crate) struct WarningLimit {
    /// Few: the causes are constants of the program.
    windows: Mutex<Vec<Window>>,
    /// Lines left out since the engine's start.
    left_out: AtomicU64,
    /// Some window has left out a line that is not reported yet.
    has_left_out: AtomicBool,
    /// Wakes the thread that calls [`report`](Self::report), if another thread may leave out a line
    /// while it waits.
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The subject of a line, by which the limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineCause<'a> {
    pub(crate) level: Level,
    /// The service's name; empty if the cause names it.
    pub(crate) service: &'a str,
    /// The lines as the number of those left out calls them, such as `connections closed`.
    pub(crate) event: &'static str,
    pub(crate) cause: &'static str,
}

/// The lines of one cause.
struct Window {
    level: Level,
    service: Box<str>,
    event: &'static str,
    cause: &'static str,
    ends: Timestamp,
    length: Duration,
    lines: u32,
    /// The window has left out lines.
    is_exceeded: bool,
    left_out: u64,
}

/// The line about lines that were left out.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    level: Level,
    count: u64,
    service: Box<str>,
    event: &'static str,
    cause: &'static str,
    within: Duration,
}

impl WarningLimit {
    pub(crate) fn new(wake: Option<Box<dyn Fn() + Send + Sync>>) -> Self {
        let (windows, left_out, has_left_out) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        Self { windows, left_out, has_left_out, wake }
    }

    /// Logs `line`, or counts it if [`MAX_LINES`] of this cause are logged already.
    pub(crate) fn log(&self, now: Timestamp, of: LineCause<'_>, line: fmt::Arguments<'_>) {
        // Lines for debugging are not counted while they are not shown.
        if of.level > Level::Info && of.level > log::max_level() {
            return;
        }
        let (earlier, is_admitted) = self.admit(now, of);
        if let Some(earlier) = earlier {
            earlier.log();
        }
        if is_admitted {
            write_line(of, line);
        }
    }

    /// Counts one line. Returns true if it may be logged, and what the window before has left out.
    fn admit(&self, now: Timestamp, of: LineCause<'_>) -> (Option<LeftOut>, bool) {
        let mut windows = self.lock();
        let known = windows.iter().position(|window| window.is_of(of));
        let at = known.unwrap_or_else(|| {
            windows.push(Window::new(of, now));
            windows.len() - 1
        });
        let Some(window) = windows.get_mut(at) else { return (None, true) };
        let earlier = (window.ends <= now).then(|| window.restart(now));
        let is_admitted = window.lines < MAX_LINES;
        if is_admitted {
            window.lines += 1;
        } else {
            window.is_exceeded = true;
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

    /// Returns the number of lines left out since the engine's start.
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

    /// Logs the number of lines left out in each window that has ended by `now`.
    pub(crate) fn report(&self, now: Timestamp) {
        if self.has_left_out.load(Ordering::Relaxed) {
            self.take_left_out(|window| window.ends <= now).iter().for_each(LeftOut::log);
        }
    }

    /// Logs the number of lines left out in all windows, because the engine ends.
    pub(crate) fn report_all(&self) {
        self.take_left_out(|_| true).iter().for_each(LeftOut::log);
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
    fn new(of: LineCause<'_>, now: Timestamp) -> Self {
        let LineCause { level, service, event, cause } = of;
        let (service, ends, length) = (service.into(), now + WINDOW, WINDOW);
        Self { level, service, event, cause, ends, length, lines: 0, is_exceeded: false, left_out: 0 }
    }

    fn is_of(&self, of: LineCause<'_>) -> bool {
        self.cause == of.cause && self.event == of.event && *self.service == *of.service
    }

    /// Starts the next window, and returns what the ended one has left out.
    fn restart(&mut self, now: Timestamp) -> Option<LeftOut> {
        let left_out = self.take_left_out();
        let goes_on = self.is_exceeded && now.saturating_since(self.ends) < self.length;
        self.length = if goes_on { (2 * self.length).min(MAX_WINDOW) } else { WINDOW };
        (self.ends, self.lines, self.is_exceeded) = (now + self.length, 0, false);
        left_out
    }

    fn take_left_out(&mut self) -> Option<LeftOut> {
        let count = std::mem::take(&mut self.left_out);
        let Self { level, event, cause, length, .. } = *self;
        (count > 0).then(|| LeftOut { level, count, service: self.service.clone(), event, cause, within: length })
    }
}

impl LeftOut {
    fn log(&self) {
        let Self { level, service, event, cause, .. } = self;
        write_line(LineCause { level: *level, service, event, cause }, format_args!("{self}"));
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, service, event, cause, within, .. } = self;
        let colon = if service.is_empty() { "" } else { ": " };
        write!(f, "{service}{colon}{count} more {event} within {within:?}: {cause}")
    }
}

/// Logs a line that peers can cause where no callback is under way, such as in a job. The process
/// has one limit for these lines. The number of those left out comes with the next line.
pub(crate) fn log_limited(level: Level, cause: &'static str, line: fmt::Arguments<'_>) {
    static LIMIT: LazyLock<(Instant, WarningLimit)> = LazyLock::new(|| (Instant::now(), WarningLimit::new(None)));
    let (start, limit) = &*LIMIT;
    let of = LineCause { level, service: "", event: "lines", cause };
    limit.log(Timestamp::new(*start, Instant::now()), of, line);
}

/// Logs a line with its service and cause as fields. Cuts it at [`MAX_LINE_BYTES`].
fn write_line(of: LineCause<'_>, line: fmt::Arguments<'_>) {
    let LineCause { level, service, cause, .. } = of;
    if level > log::max_level() {
        return;
    }
    let mut cut = CutLine(String::new());
    let whole = fmt::write(&mut cut, line).is_ok();
    let CutLine(text) = cut;
    let fields = [("service", service), ("cause", cause)];
    let fields = if service.is_empty() { &fields[1..] } else { &fields[..] };
    let mark = if whole { "" } else { "…" };
    log::logger().log(
        &Record::builder()
            .level(level)
            .target(module_path!())
            .key_values(&fields)
            .args(format_args!("{text}{mark}"))
            .build(),
    );
}

/// A text that ends at [`MAX_LINE_BYTES`].
struct CutLine(String);

impl fmt::Write for CutLine {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_LINE_BYTES.saturating_sub(self.0.len());
        let end = (0..=room.min(part.len())).rev().find(|end| part.is_char_boundary(*end)).unwrap_or_default();
        self.0.push_str(part.get(..end).unwrap_or_default());
        if end == part.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const START: Timestamp = Timestamp::START;

    fn of<'a>(service: &'a str, cause: &'static str) -> LineCause<'a> {
        LineCause { level: Level::Warn, service, event: "connections closed", cause }
    }

    fn left_out(count: u64, service: &str, cause: &'static str, within: Duration) -> LeftOut {
        let LineCause { level, event, .. } = of("", cause);
        LeftOut { level, count, service: service.into(), event, cause, within }
    }

    /// Counts `count` lines and returns the number of those that may be logged.
    fn admitted(limit: &WarningLimit, now: Timestamp, service: &str, cause: &'static str, count: u32) -> u32 {
        (0..count).map(|_| u32::from(limit.admit(now, of(service, cause)).1)).sum()
    }

    #[test]
    fn each_cause_of_each_service_has_its_own_limit() {
        let limit = WarningLimit::new(None);
        for (service, cause) in [("echo", "flood"), ("chat", "flood"), ("chat", "bad frame")] {
            assert_eq!(admitted(&limit, START, service, cause, MAX_LINES + 5), MAX_LINES, "{service} {cause}");
        }
        assert_eq!(limit.left_out(), 15);
        assert_eq!(limit.next_report(), Some(START + WINDOW));
        assert!(limit.take_left_out(|window| window.ends <= START).is_empty(), "the windows have not ended");
        let all = limit.take_left_out(|window| window.ends <= START + WINDOW);
        let expected = [("echo", "flood"), ("chat", "flood"), ("chat", "bad frame")];
        assert_eq!(all, expected.map(|(service, cause)| left_out(5, service, cause, WINDOW)));
        assert_eq!(limit.next_report(), None);
    }

    #[test]
    fn a_line_after_the_window_reports_it_and_starts_the_next() {
        let limit = WarningLimit::new(None);
        admitted(&limit, START, "echo", "flood", MAX_LINES + 7);
        let later = START + WINDOW;
        let earlier = left_out(7, "echo", "flood", WINDOW);
        assert_eq!(limit.admit(later, of("echo", "flood")), (Some(earlier), true));
        assert_eq!(admitted(&limit, later, "echo", "flood", MAX_LINES), MAX_LINES - 1);
        assert_eq!(limit.next_report(), Some(later + 2 * WINDOW));
    }

    #[test]
    fn the_windows_of_a_cause_that_goes_on_grow_to_a_bound() {
        let limit = WarningLimit::new(None);
        let (mut now, mut lines) = (START, 0);
        for _ in 0..24 * 60 * 60 {
            lines += admitted(&limit, now, "echo", "flood", 50);
            now = now + Duration::from_secs(1);
        }
        // One window of the longest for each ten minutes of the day, and the shorter ones before.
        assert!(lines <= MAX_LINES * (24 * 6 + 7), "{lines} lines in a day");
        let quiet = now + 2 * MAX_WINDOW;
        admitted(&limit, quiet, "echo", "flood", MAX_LINES + 1);
        assert_eq!(limit.next_report(), Some(quiet + WINDOW), "the limit starts anew");
    }

    #[test]
    fn the_first_line_left_out_wakes_the_reporting_thread() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let limit = WarningLimit::new(Some(Box::new(move || _ = counter.fetch_add(1, Ordering::Relaxed))));
        admitted(&limit, START, "", "chat flood", MAX_LINES);
        assert_eq!((wakes.load(Ordering::Relaxed), limit.next_report()), (0, None));
        admitted(&limit, START, "", "chat flood", 3);
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_number_comes_with_the_service_the_event_and_the_cause() {
        for (line, text) in [
            (left_out(412, "echo", "bad frame", WINDOW), "echo: 412 more connections closed within 10s: bad frame"),
            (left_out(1, "", "chat flood", 2 * WINDOW), "1 more connections closed within 20s: chat flood"),
        ] {
            assert_eq!(line.to_string(), text);
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut cut = CutLine(String::new());
        assert!(fmt::write(&mut cut, format_args!("x{}", "é".repeat(MAX_LINE_BYTES))).is_err());
        assert_eq!(cut.0.len(), MAX_LINE_BYTES - 1);
    }
}
