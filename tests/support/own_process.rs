//! A test in a process of its own, whose limits it can change.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "SWITCHBOARD_TEST_CHILD";

/// Runs the current test again in a child process, so that it can change the limits of the process.
/// Returns true in the child, and false in the parent after the child has passed.
pub(crate) fn in_own_process() -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    // The test harness names the thread after the test.
    let thread = std::thread::current();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", thread.name().unwrap(), "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    false
}

/// Limits the process to `more` additional descriptors (`RLIMIT_NOFILE`).
pub(crate) fn leave_descriptors(more: u64) {
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    let limit = Rlimit { current: Some(u64::try_from(next).unwrap() + more), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Limits the address space of the process to its current size plus `more` bytes (`RLIMIT_AS`).
#[cfg(target_os = "linux")]
pub(crate) fn leave_address_space(more: u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = Rlimit { current: Some((pages << 12) + more), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).unwrap();
}
