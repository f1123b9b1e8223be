//! The load generator against real servers, most of which commit faults on purpose.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot do what it must has failed")]

mod chat;
mod faults;
mod kinds;
mod servers;
mod stalls;
mod troubles;

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// Read-locked by tests that count, write-locked by tests that measure time.
static EXCLUSION: RwLock<()> = RwLock::new(());

/// Locks for a test that only counts; such tests run in parallel.
fn lock_shared() -> RwLockReadGuard<'static, ()> {
    EXCLUSION.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Locks for a test that measures time; no other test of this file runs meanwhile.
fn lock_exclusive() -> RwLockWriteGuard<'static, ()> {
    EXCLUSION.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Repeats a time measurement until one attempt succeeds. Other programs on the machine may disturb
/// some attempts; a fault of the generator fails every one. Fails after five attempts and three
/// minutes.
fn succeeds_once(attempt: impl Fn() -> Result<(), String>) {
    let (began, mut failures) = (Instant::now(), Vec::new());
    while let Err(failure) = attempt() {
        failures.push(failure);
        assert!(failures.len() < 5 || began.elapsed() < RETRY_TIME, "{failures:#?}");
    }
}

/// The least time for which attempts are repeated.
const RETRY_TIME: Duration = Duration::from_mins(3);

/// Ends an attempt with an error unless the condition holds.
macro_rules! require {
    ($condition:expr, $($message:tt)*) => {
        let holds: bool = $condition;
        if !holds {
            return Err(format!($($message)*));
        }
    };
}
use require;
