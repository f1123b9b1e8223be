//! The end of `duel`: signals, exit codes, and the end of its servers.

use std::process::Stdio;

use serde_json::Value;

use super::BRIEF;
use crate::bench::children_of;
#[cfg(target_os = "linux")]
use crate::bench::{await_end, child_of};
use crate::program::{Program, Signal, command};

fn start(args: &[&str]) -> Program {
    Program::start(command(args).stdout(Stdio::piped()))
}

/// Starts a duel with runs of one hour, and returns in its first measured time.
fn endless() -> Program {
    let mut program = start(&["-v", "duel", "echo", "--connections=3", "--duration=1h", "--warm-up=0"]);
    program.logged("measuring at 3 connections");
    program
}

fn assert_no_children(pid: u32) {
    assert_eq!(children_of(pid), [] as [std::path::PathBuf; 0], "a server is still running");
}

#[test]
fn no_server_is_left_after_success() {
    let mut program = start(&BRIEF);
    let pid = program.id();
    assert_eq!(program.wait().code(), Some(0));
    assert_no_children(pid);
}

#[test]
fn signal_during_a_run_leaves_no_server() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut program = endless();
        let pid = program.id();
        #[cfg(target_os = "linux")]
        assert_eq!(children_of(pid).len(), 1, "the server can be found");
        program.signal(signal);
        assert_eq!(program.wait().code(), Some(code));
        assert_no_children(pid);
        assert_eq!(program.printed(), "", "an incomplete point has no report");
    }
}

#[test]
fn interrupted_duel_reports_complete_points() {
    let many: Vec<_> = (1..=50).map(|connections| connections.to_string()).collect();
    let points = format!("--connections={}", many.join(","));
    let mut program =
        start(&["-v", "duel", "echo", &points, "--duration=100ms", "--warm-up=0", "--rounds=2", "--json"]);
    program.logged("point complete: 1 connection");
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(130));
    let result: Value = serde_json::from_str(&program.printed()).unwrap();
    assert_eq!(result["interrupted"], true);
    let points = result["points"].as_array().unwrap();
    assert!(points[0]["whole"] == true && points.len() < 50, "{result}");
    assert!(result["remarks"].to_string().contains("The duel ended early"), "{result}");
}

#[test]
#[cfg(target_os = "linux")]
fn server_exit_during_a_run_is_reported() {
    let mut program = endless();
    let server = children_of(program.id()).pop().unwrap();
    let pid = server.file_name().unwrap().to_str().unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    assert_eq!(program.wait().code(), Some(1));
    let log = program.log();
    assert!(log.contains("3 connections, reactor: the server exited during the run: signal: 9"), "{log}");
}

#[test]
#[cfg(target_os = "linux")]
fn sigkill_also_ends_the_server() {
    let program = endless();
    let server = child_of(program.id());
    program.signal(Signal::KILL);
    drop(program);
    await_end(&server);
}
