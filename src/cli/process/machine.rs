//! The machine and the build that a measurement ran on. Without them its figures cannot be
//! compared.

use serde::{Deserialize, Serialize};

/// The machine and the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct MachineInfo {
    /// Model name of the processor.
    pub(in crate::cli) cpu_model: Option<String>,
    /// Number of CPUs.
    pub(in crate::cli) cpus: usize,
    /// Size of the main memory.
    pub(in crate::cli) memory_bytes: Option<u64>,
    /// The operating system and its version.
    pub(in crate::cli) kernel: String,
    /// Target of the build, as in `x86_64 linux`.
    pub(in crate::cli) target: String,
    /// `release` or `debug`.
    pub(in crate::cli) profile: String,
    /// The program's version.
    pub(in crate::cli) version: String,
}

impl MachineInfo {
    /// Returns the description of this machine and this program.
    pub(in crate::cli) fn current() -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self {
            cpu_model: system::cpu_model(),
            cpus: system::cpus(),
            memory_bytes: system::memory_bytes(),
            kernel: system::kernel(),
            target: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            profile: profile.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Returns true if the program was built without optimisation, which makes its figures
    /// meaningless.
    pub(in crate::cli) fn is_debug_build(&self) -> bool {
        self.profile == "debug"
    }
}

/// Returns the number of local ports that the system assigns to connections to one address.
pub(in crate::cli) fn local_ports() -> Option<u64> {
    // Only Linux has this file.
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let (first, last) = range.trim().split_once(char::is_whitespace)?;
    last.trim().parse::<u64>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
}

#[cfg(target_os = "linux")]
mod system {
    use procfs::{CpuInfo, Current, Meminfo};

    /// Returns the machine's CPUs. `available_parallelism` would count those that this thread may
    /// use, fewer once it is pinned.
    pub(super) fn cpus() -> usize {
        CpuInfo::current().map_or(1, |info| info.num_cores().max(1))
    }

    pub(super) fn cpu_model() -> Option<String> {
        CpuInfo::current().ok()?.model_name(0).map(str::to_owned)
    }

    pub(super) fn memory_bytes() -> Option<u64> {
        Meminfo::current().ok().map(|memory| memory.mem_total)
    }

    pub(super) fn kernel() -> String {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        format!("Linux {}", release.trim()).trim_end().to_owned()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn cpus() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }

    pub(super) fn cpu_model() -> Option<String> {
        None
    }

    pub(super) fn memory_bytes() -> Option<u64> {
        None
    }

    pub(super) fn kernel() -> String {
        std::env::consts::OS.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_info_survives_json() {
        let machine = MachineInfo::current();
        assert!(machine.cpus >= 1 && !machine.kernel.is_empty(), "{machine:?}");
        let text = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<MachineInfo>(&text).unwrap(), machine);
    }
}
