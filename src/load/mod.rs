//! The load generator: one thread and one poll loop, as the servers it is for.
//!
//! [`Plan`] says what load, [`run`] puts it on a server, [`Outcome`] is what came of it. Every answer is compared byte for byte
//! with what was sent, and latency counts from the moment at which a message *should* have been sent, so that a server that
//! stalls is charged for every message it kept waiting.

mod batch;
pub mod chat;
mod client;
mod course;
mod cpu;
mod cutter;
mod dial;
mod driver;
mod kit;
mod ledger;
mod message;
mod net;
mod outcome;
mod output;
mod pace;
mod plan;
mod search;
mod slo;
mod stages;
mod tally;

pub use outcome::{Bottleneck, Faults, Generator, Outcome, Sample};
pub use plan::{Activity, Plan};
pub use search::{Ended, MaxRate, Step, Verdict, find_max};
pub use slo::{ParseSloError, Slo};

use std::fmt;
use std::io;
use std::ops::ControlFlow;

/// Puts the load of `plan` on a server, and tells `watch` how it goes.
///
/// # Errors
/// [`Error`] when the load could not be put on at all. What the server does wrong is in the [`Outcome`].
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Outcome, Error> {
    plan.check()?;
    driver::Load::new(plan)?.run(watch)
}

/// Told of a run while it goes on. All of it happens on the thread that runs, so whatever it does costs time.
pub trait Watch {
    /// All connections that could be had are open and warm: from now on it counts.
    fn on_measuring(&mut self) {}

    /// About ten times a second. [`ControlFlow::Break`] ends the run early; what was measured so far is its outcome.
    fn on_progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let _ = progress;
        ControlFlow::Continue(())
    }

    /// The measured time is over; nothing has been closed yet.
    fn on_measured(&mut self) {}

    /// [`find_max`] has tried a rate.
    fn on_step(&mut self, step: &Step) {
        let _ = step;
    }
}

/// Watches nothing.
impl Watch for () {}

/// How a run goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// The part of the stage that is over, from 0 to 1.
    pub done: f64,
    /// Connections open now, without slow readers.
    pub connections: usize,
    /// The last sample, if any has been taken.
    pub last: Option<Sample>,
    /// All that went wrong so far.
    pub faults: Faults,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Opening connections.
    Connecting,
    /// Under load, and not counting yet.
    WarmingUp,
    /// Under load, and counting.
    Measuring,
    /// Waiting for the last answers.
    Finishing,
}

/// Why a load could not be put on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The plan contradicts itself.
    Plan(String),
    /// No connection at all could be opened.
    Connect(io::Error),
    /// The operating system failed.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(what) => f.write_str(what),
            Self::Connect(error) => write!(f, "no connection could be opened: {error}"),
            Self::System(error) => write!(f, "the operating system failed: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Plan(_) => None,
            Self::Connect(error) | Self::System(error) => Some(error),
        }
    }
}
