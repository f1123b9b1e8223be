//! What every download shares, whatever protocol brings it: a progress bar, a place for its bytes, and Ctrl-C.
//!
//! It must not know a protocol. Its invariant: a file that is at its place is whole, and what was there before stays until then.

mod output_file;
mod progress;
mod signal_watch;
mod trailing_data;

pub(super) use output_file::{Obstacle, Target};
pub(super) use progress::Progress;
pub(super) use signal_watch::{Interrupt, Waited, Waiting};
pub(super) use trailing_data::has_surplus;
