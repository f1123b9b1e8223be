//! Panics in the application's code: its callbacks, its jobs, the destructors of its services.
//!
//! [`catch`] keeps such a panic from ending an engine. `catch_unwind` gives the message only; the
//! place and the backtrace are known to the process's panic hook alone. So a program that wants
//! them in its log calls [`install_panic_hook`].

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// The length to which a message is cut for the log: it may quote a request.
const MAX_MESSAGE_CHARS: usize = 1000;

thread_local! {
    /// A panic on this thread is caught by [`catch`].
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// The last such panic, as the hook has seen it.
    static SEEN: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
}

/// A panic that was caught. `Display` gives its message, its place and its backtrace.
pub(crate) struct PanicReport {
    message: String,
    /// The place and the backtrace; `None` without the hook.
    origin: Option<(String, Backtrace)>,
}

/// A panic of a service, for the engine to count and log.
pub(crate) struct ServicePanic {
    /// The callback that panicked, or "a job".
    pub(crate) origin: &'static str,
    pub(crate) report: PanicReport,
    /// The connection that the callback was about is closed.
    pub(crate) closes: bool,
    /// The service has panicked repeatedly, and is to be stopped.
    pub(crate) stops_service: bool,
}

/// Installs a panic hook for the log of the engines. A panic in a callback or a job of a service is
/// then logged with its place and a backtrace, and not printed. Any other panic goes to the hook
/// that was installed before.
///
/// An engine never installs it by itself, because a process has only one hook. Without this hook
/// the engine logs the message of the panic, and the standard library's hook prints the rest to
/// standard error. Later calls have no effect.
///
/// # Panics
/// If the calling thread is panicking.
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let other_hook = take_hook();
        set_hook(Box::new(move |info| if IS_CAUGHT.get() { PanicReport::note(info) } else { other_hook(info) }));
    });
}

/// Calls `work`, and catches its panic.
#[inline]
pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> Result<R, PanicReport> {
    let outer = IS_CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(outer);
    result.map_err(PanicReport::new)
}

impl PanicReport {
    #[cold]
    fn new(panic: Box<dyn Any + Send>) -> Self {
        let message = message_of(&*panic).to_owned();
        // The destructor of the value may panic, too. Its own value is forgotten.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(second);
        }
        // The work itself may have caught an earlier panic that the hook has seen.
        let seen = SEEN.take().filter(|seen| seen.message == message);
        seen.unwrap_or(Self { message, origin: None })
    }

    /// Keeps what the hook sees of a panic. Nothing here may panic.
    fn note(info: &PanicHookInfo<'_>) {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        let report =
            Self { message: message_of(info.payload()).to_owned(), origin: Some((place, Backtrace::force_capture())) };
        let _ = SEEN.try_with(|seen| seen.replace(Some(report)));
    }
}

/// Returns the message of a panic, which is a text unless `panic_any` was called.
fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message may quote the peer's bytes.
        for c in self.message.chars().take(MAX_MESSAGE_CHARS) {
            if c.is_control() { write!(f, "{}", c.escape_debug())? } else { f.write_char(c)? }
        }
        match &self.origin {
            Some((place, backtrace)) => write!(f, ", at {place}\n{backtrace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{panic_any, resume_unwind};

    use super::*;

    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new("dropped"));
        }
    }

    fn report_of(work: impl FnOnce()) -> String {
        catch(work).unwrap_err().to_string()
    }

    #[test]
    fn a_report_has_the_message_the_place_and_the_backtrace() {
        install_panic_hook();
        let report = report_of(|| panic!("clear \u{1b}[2J"));
        let (first, backtrace) = report.split_once('\n').unwrap();
        assert!(first.starts_with(r"clear \u{1b}[2J, at src/service/panics.rs:"), "{first}");
        assert!(backtrace.contains("a_report_has_the_message"), "{backtrace}");
    }

    #[test]
    fn a_panic_that_the_work_has_caught_is_not_reported_as_a_later_one() {
        install_panic_hook();
        assert!(catch(|| catch_unwind(|| panic!("first")).is_err()).is_ok_and(|caught| caught));
        assert_eq!(report_of(|| resume_unwind(Box::new("second"))), "second");
        assert_eq!(report_of(|| panic_any(7)).lines().next().unwrap().split(',').next(), Some("no message"));
    }

    #[test]
    fn the_value_of_a_panic_may_panic() {
        assert_eq!(report_of(|| resume_unwind(Box::new(Bomb))), "no message");
        assert!(catch(|| 1).is_ok_and(|one| one == 1), "later work is not affected");
    }

    #[test]
    fn catching_nests() {
        let outer = catch(|| {
            assert!(catch(|| resume_unwind(Box::new("inner"))).is_err());
            assert!(IS_CAUGHT.get());
        });
        assert!(outer.is_ok() && !IS_CAUGHT.get());
    }
}
