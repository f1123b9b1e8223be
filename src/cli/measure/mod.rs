//! What every measurement needs besides a load: a server in a process of its own ([`child`]), what that process has used
//! ([`probe`]), which processors it runs on ([`pin`]), where all this took place ([`machine`]), and a Ctrl-C that leaves nothing
//! behind ([`interrupt`]).
//!
//! None of it knows what is measured, or how it is shown. What a system does not tell is `None`, never zero.

mod child;
mod interrupt;
mod machine;
mod pin;
mod probe;

pub(super) use child::{Child, Serve, die_with};
pub(super) use interrupt::Interrupt;
pub(super) use machine::Machine;
pub(super) use pin::Pinning;
pub(super) use probe::{Probe, Reading, Usage};
