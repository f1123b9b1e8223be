//! The load generator against real servers, most of them broken on purpose.

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

static TURNS: RwLock<()> = RwLock::new(());

/// Held by a test that counts.
fn among_others() -> RwLockReadGuard<'static, ()> {
    TURNS.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Held by a test that measures time: it has the machine to itself, as far as that is ours to give.
fn alone() -> RwLockWriteGuard<'static, ()> {
    TURNS.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Another program may spoil an attempt at measuring time, and go on doing so for a while; a fault of ours spoils every one.
fn once_in_five(attempt: impl Fn() -> Result<(), String>) {
    let (began, mut spoiled) = (Instant::now(), Vec::new());
    while let Err(how) = attempt() {
        spoiled.push(how);
        assert!(spoiled.len() < 5 || began.elapsed() < PATIENCE, "{spoiled:#?}");
    }
}

/// How long attempts are repeated, however often they are spoiled.
const PATIENCE: Duration = Duration::from_mins(3);

/// An attempt is spoiled unless this is so.
macro_rules! hoped {
    ($is_so:expr, $($what:tt)*) => {
        let is_so: bool = $is_so;
        if !is_so {
            return Err(format!($($what)*));
        }
    };
}
use hoped;
