//! What every download shares, whatever protocol brings it: a progress bar, a place for its bytes, and Ctrl-C.
//!
//! It must not know a protocol. Its invariant: a file that is at its place is whole, and what was there before stays until then.

mod interrupt;
mod progress;
mod surplus;
mod target;

pub(super) use interrupt::{Interrupt, Waited, Waiting};
pub(super) use progress::Progress;
pub(super) use surplus::has_surplus;
pub(super) use target::{Obstacle, Target};
