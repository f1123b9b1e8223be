//! `switchboard bench`: its output, the faults that it finds, and its cleanup.

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

/// A small load for a short time.
const BRIEF: [&str; 5] = ["bench", "echo", "--connections=3", "--warm-up=20ms", "--duration=250ms"];

/// Runs a short bench.
fn brief(args: &[&str]) -> Output {
    run(&[&BRIEF, args].concat())
}

/// Runs a short bench that must succeed, and returns its standard output. On a busy machine a run
/// this short may get no processor time; then it is repeated until [`GUARD`].
fn good(args: &[&str]) -> String {
    let began = Instant::now();
    loop {
        let output = brief(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr == "switchboard: no message was answered\n" && began.elapsed() < GUARD {
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert_eq!(stderr, "", "{args:?}: prints nothing to a pipe");
        return String::from_utf8(output.stdout).unwrap();
    }
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
