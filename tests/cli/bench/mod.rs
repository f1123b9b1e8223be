//! `switchboard bench`: what it writes, what it finds, and that it leaves nothing behind.

mod chat;
mod ends;
mod faults;
mod files;
mod page;
pub(crate) mod results;
mod servers;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;

use crate::program::{GUARD, SocketPath, run};

/// Little load, for little time.
const BRIEF: [&str; 5] = ["bench", "echo", "--connections=3", "--warm-up=20ms", "--duration=250ms"];

/// Runs a short bench.
fn brief(args: &[&str]) -> Output {
    run(&[&BRIEF, args].concat())
}

/// Runs a short bench in which all goes well, and returns what it prints. On a machine that is busy with other things so short a
/// run may get no processor; then there is another.
fn good(args: &[&str]) -> String {
    let began = Instant::now();
    loop {
        let output = brief(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr == "switchboard: no message was answered\n" && began.elapsed() < GUARD {
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert_eq!(stderr, "", "{args:?}: it is quiet in a pipe");
        return String::from_utf8(output.stdout).unwrap();
    }
}

/// A file that is not there yet, and goes with the test.
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

/// The servers that a process of this number has started and that are still there.
pub(crate) fn children_of(pid: u32) -> Vec<PathBuf> {
    let mark = format!("--die-with-parent\0{pid}\0");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().map_while(Result::ok).map(|entry| entry.path());
    processes
        .filter(|path| {
            std::fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
        })
        .collect()
}
