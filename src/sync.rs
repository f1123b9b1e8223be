//! The locks, channels and flags by which threads hand work to each other: the standard library's.
//!
//! A build with `--cfg shuttle` takes those of the crate `shuttle`. Its scheduler then decides at
//! each of them which thread goes on, and reports threads that wait for each other for ever. Only
//! tests are built so. Counters that no thread waits for stay with the standard library.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::*;
#[cfg(not(shuttle))]
pub(crate) use std::sync::*;
