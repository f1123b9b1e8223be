//! What every measurement needs besides a load: a server in a process of its own ([`child`]) and what it is told ([`options`]),
//! what that process has used ([`probe`]), which processors it runs on ([`pin`]), where all this took place ([`machine`]), a Ctrl-C
//! that leaves nothing behind ([`interrupt`]), and what all results have in common ([`record`]).
//!
//! None of it knows what is measured, or how it is shown. What a system does not tell is `None`, never zero.

mod child;
mod interrupt;
mod machine;
mod options;
mod pin;
mod probe;
pub(super) mod record;

pub(super) use child::{Child, Serve, die_with};
pub(super) use interrupt::Interrupt;
pub(super) use machine::Machine;
pub(super) use options::{Demand, MAX_CONNECTIONS};
pub(super) use pin::Pinning;
pub(super) use probe::{Probe, Reading, Usage};
pub(super) use record::Pinned;
