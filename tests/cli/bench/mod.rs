//! `switchboard bench`: its output, the faults that it finds, and its cleanup.

mod chat;
mod ends;
mod faults;
mod files;
mod page;
pub(crate) mod results;
mod servers;
mod soak;

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Output;

#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(target_os = "linux")]
use rustix::process::{Pid, PidfdFlags, pidfd_open};

#[cfg(target_os = "linux")]
use crate::guard::guard;
use crate::program::{SocketPath, run};

/// A small load for a time in which a busy machine answers at least one message.
const BRIEF: [&str; 5] = ["bench", "echo", "--connections=3", "--warm-up=20ms", "--duration=1s"];

/// Runs a measurement. Unless the test sets the time after which an answer is lost, it is long: on
/// a busy machine, 5 s may pass in which a server does not run.
fn run_patiently(args: &[&str]) -> Output {
    let sets_timeout = args.iter().any(|arg| arg.starts_with("--answer-timeout"));
    run(&[args, if sets_timeout { &[] } else { &["--answer-timeout=60s"] }].concat())
}

/// Runs a short bench.
fn brief(args: &[&str]) -> Output {
    run_patiently(&[&BRIEF, args].concat())
}

/// Runs a short bench that must succeed, and returns its standard output.
fn good(args: &[&str]) -> String {
    let output = brief(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    assert_eq!(stderr, "", "{args:?}: prints nothing to a pipe");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns a text without its line breaks and indentations.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A path for a new file, which is removed with the value.
pub(crate) struct Scratch(SocketPath);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(SocketPath::new())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn name(&self) -> String {
        self.path().display().to_string()
    }
}

/// Returns the `/proc` paths of the running servers that process `pid` has started.
pub(crate) fn children_of(pid: u32) -> Vec<PathBuf> {
    let mark = format!("--die-with-parent\0{pid}\0");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().map_while(Result::ok).map(|entry| entry.path());
    processes
        .filter(|path| {
            std::fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
        })
        .collect()
}

/// Returns a handle to the one server that process `pid` has started.
#[cfg(target_os = "linux")]
pub(crate) fn child_of(pid: u32) -> OwnedFd {
    let children = children_of(pid);
    let [path] = &children[..] else { panic!("the servers of {pid}: {children:?}") };
    let server = Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap();
    pidfd_open(server, PidfdFlags::empty()).unwrap()
}

/// Waits until a server has ended. The kernel kills it shortly after its parent.
#[cfg(target_os = "linux")]
pub(crate) fn await_end(server: &OwnedFd) {
    let limit = Timespec::try_from(guard()).unwrap();
    let ended = poll(&mut [PollFd::new(server, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ended, 1, "a server is still running");
}
