//! Starting threads. A trait, so that a test can have it fail.

use std::io;
use std::thread;

/// Stack of a thread, in bytes. What is not touched costs address space only, so it is not cut to the last page: a test runs our
/// deepest paths, logging and a panic's backtrace included, on half of it, and services' callbacks and jobs have the other
/// half. Without optimisation frames are far larger.
pub(super) const STACK_BYTES: usize = if cfg!(debug_assertions) { 256 * 1024 } else { 128 * 1024 };

/// What a thread does.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// Starts threads.
pub(super) trait Spawn: Send + Sync {
    fn spawn(&self, name: String, task: Task) -> io::Result<()>;
}

/// As the operating system does it.
pub(super) struct OsThreads;

impl Spawn for OsThreads {
    fn spawn(&self, name: String, task: Task) -> io::Result<()> {
        thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(task).map(drop)
    }
}
