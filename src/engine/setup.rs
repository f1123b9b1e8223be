//! What every engine does before it runs: it keeps its services under the names that the log uses, and fits its limits to the
//! process. Knows no engine.

use std::fs;

use crate::engine::limits::Limits;
use crate::net;
use crate::service::Service;

/// Descriptors kept for what is not a connection: standard streams, the poll instance, files that services open, and
/// newcomers that are told that the server is full.
const RESERVED_DESCRIPTORS: usize = 100;

/// Memory mappings of a thread: its stack and the stack for its signals, each with a page before it that nobody may touch.
const MAPPINGS_PER_THREAD: usize = 4;

/// Threads' worth of mappings kept for what is not a connection: the program, its libraries, heaps and large buffers.
const RESERVED_THREADS: usize = 500;

/// A service and its name in the log.
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) service: Box<dyn Service + Send>,
}

/// Lowers `max_connections` to what the process's descriptor limit leaves room for, with a line in the log. A connection takes
/// `each` descriptors.
pub(crate) fn fit_to_descriptors(limits: &mut Limits, each: usize) {
    let Some(descriptors) = net::descriptor_limit().and_then(|limit| usize::try_from(limit).ok()) else { return };
    let room = descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(descriptors / 2) / each;
    lower(limits, room, &format!("this process may open {descriptors} descriptors (ulimit -n)"));
}

/// Lowers `max_connections` to the threads that the system leaves room for, with a line in the log. One too many would not be
/// refused but end the process: a thread that cannot map its signal stack panics before anybody could catch it.
pub(crate) fn fit_to_threads(limits: &mut Limits) {
    let bounds = [
        (number_in("/proc/sys/vm/max_map_count").map(|maps| maps / MAPPINGS_PER_THREAD), "vm.max_map_count"),
        (number_in("/proc/sys/kernel/threads-max"), "kernel.threads-max"),
        (pids_max(), "pids.max of the control group"),
    ];
    for (threads, name) in bounds {
        let Some(threads) = threads else { continue };
        let room = threads.saturating_sub(RESERVED_THREADS).max(threads / 2);
        lower(limits, room, &format!("this process may have {threads} threads ({name})"));
    }
}

fn number_in(path: &str) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How many threads the process's control group may have (cgroups(7)): the bound is a file of the group, of either version.
/// That of a group further up is not looked for; whoever meets it is refused a thread, and told.
fn pids_max() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            "pids" => "/sys/fs/cgroup/pids",
            _ => return None,
        };
        number_in(&format!("{root}{group}/pids.max"))
    })
}

fn lower(limits: &mut Limits, room: usize, why: &str) {
    let room = room.max(1);
    if limits.max_connections > room {
        // What nobody asked for is no loss to be warned of.
        let level = if limits.max_connections == Limits::default().max_connections {
            log::Level::Info
        } else {
            log::Level::Warn
        };
        log::log!(level, "max-connections lowered from {} to {room}: {why}", limits.max_connections);
        limits.max_connections = room;
    }
}
