//! Processes as `bench` and `duel` need them: a server as a child process ([`server`]) with the
//! limits that a load needs ([`requirements`]), its resource use ([`probe`]), the CPUs of server
//! and load ([`pinning`]) and the machine ([`machine`]); and for every command the signals that end
//! it in good order ([`signals`]).
//!
//! No file here knows which load runs or how its result is shown. A value that the system does not
//! provide is `None`, never zero.

mod descriptors;
mod machine;
mod pinning;
mod probe;
mod requirements;
mod server;
pub(super) mod signals;

pub(super) use descriptors::raise_descriptor_limit;
pub(super) use machine::{MachineInfo, local_ports};
pub(super) use pinning::{CpuAssignment, PinnedCpus};
pub(super) use probe::{ProcessProbe, ProcessSample, ProcessUsage, own_rss_bytes};
pub(super) use requirements::LoadRequirements;
pub(super) use server::{ServeCommand, ServerProcess, kill_with_parent};
pub(super) use signals::Interrupt;
