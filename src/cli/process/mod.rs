//! What every measurement needs besides a load: a server in a process of its own ([`child`]) and what it is told ([`options`]),
//! what that process has used ([`probe`]), which processors it runs on ([`pin`]), where all this took place ([`machine`]), a Ctrl-C
//! that leaves nothing behind ([`interrupt`]), and what all results have in common ([`record`]).
//!
//! None of it knows what is measured, or how it is shown. What a system does not tell is `None`, never zero.

mod descriptors;
mod interrupt;
mod machine;
mod pinning;
mod probe;
mod requirements;
mod server;

pub(super) use descriptors::raise_descriptor_limit;
pub(super) use interrupt::Interrupt;
pub(super) use machine::MachineInfo;
pub(super) use pinning::{CpuAssignment, PinnedCpus};
pub(super) use probe::{ProcessProbe, ProcessSample, ProcessUsage};
pub(super) use requirements::{LoadRequirements, MAX_CONNECTIONS};
pub(super) use server::{ServeCommand, ServerProcess, kill_with_parent};
