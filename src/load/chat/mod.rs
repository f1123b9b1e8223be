//! The load generator for chat rooms: members that enter, a few that speak, and the proof that everybody heard everything.
//!
//! [`Plan`] says what load, [`run`] puts it on a server, [`Outcome`] is what came of it. It is a loop of its own beside the echo's,
//! made of the same parts: sockets, dialling, timetable, stages and counters.
//!
//! `proof` is the heart: what must be so of the ids that come to each member. `text` makes each message one that proves itself,
//! `scan` takes deliveries apart, `turns` is the closed loop, `member` one connection, and `driver` and `stages` the run.

mod driver;
mod faults;
mod kit;
mod member;
mod outcome;
mod plan;
mod proof;
mod room_log;
mod scan;
mod sequence;
mod stages;
mod text;
mod turns;

pub use faults::{Faults, Kind, Violation};
pub use outcome::{Complaint, Outcome};
pub use plan::{Activity, Plan};

use super::{Error, Watch};

/// Puts the load of `plan` on a chat server, and tells `watch` how it goes.
///
/// # Errors
/// [`Error`] when the load could not be put on at all. What the server does wrong is in the [`Outcome`].
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Outcome, Error> {
    plan.check()?;
    driver::Load::new(plan)?.run(watch)
}
