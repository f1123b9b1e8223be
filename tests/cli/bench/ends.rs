//! The end of `bench`: signals, exit codes, and the end of its spawned server.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::children_of;
#[cfg(target_os = "linux")]
use super::{await_end, child_of};
use crate::program::{Program, Signal, command};

/// Starts a bench of one hour, and returns in its measured time.
fn endless(args: &[&str]) -> Program {
    let long = ["-v", "bench", "echo", "--connections=3", "--warm-up=0", "--duration=1h"];
    let mut program = Program::start(command(&[&long, args].concat()).stdout(Stdio::piped()));
    program.logged("measuring");
    program
}

/// Sends a signal to a process by its path below `/proc`.
#[cfg(target_os = "linux")]
fn send(process: &Path, signal: Signal) {
    let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn assert_no_children(pid: u32) {
    assert_eq!(children_of(pid), [] as [std::path::PathBuf; 0], "a server is still running");
}

#[test]
fn first_signal_reports_what_was_measured() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut program = endless(&["--json"]);
        let pid = program.id();
        #[cfg(target_os = "linux")]
        assert_eq!(children_of(pid).len(), 1, "the server is found by its parent");
        program.signal(signal);
        assert_eq!(program.wait().code(), Some(code));
        assert_no_children(pid);
        let result: Value = serde_json::from_str(&program.printed()).unwrap();
        assert_eq!(result["interrupted"], true);
        assert_eq!(result["ended_early"], "signal");
        assert_eq!(result["faults"]["broken"], 0, "the spawned server exited before the load");
        assert!(result["verdicts"].to_string().contains("The run ended early"), "{result}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn second_signal_exits_immediately() {
    let mut program = endless(&[]);
    let (pid, server) = (program.id(), child_of(program.id()));
    // A stopped server does not exit, so the bench waits for it.
    send(&children_of(pid).pop().unwrap(), Signal::STOP);
    program.signal(Signal::INT);
    program.logged("run ended early: a signal stopped it");
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(143));
    assert_eq!(program.printed(), "", "the bench exited without waiting");
    await_end(&server);
    assert_no_children(pid);
}

/// Returns the result of a long search that was interrupted after its first step held.
pub(super) fn search_ended_early() -> Value {
    let search = ["--find-max", "--rate=40", "--slo=max<10min", "--warm-up=0", "--duration=200ms", "--json"];
    let mut program = Program::start(command(&[&["-v", "bench", "echo"], &search[..]].concat()).stdout(Stdio::piped()));
    let pid = program.id();
    program.logged("40.0 /s holds");
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(130));
    assert_no_children(pid);
    serde_json::from_str(&program.printed()).unwrap()
}

#[test]
fn interrupted_search_reports_its_steps() {
    let result = search_ended_early();
    let search = &result["find_max"];
    assert_eq!((&search["ended"], &result["ended_early"]), (&"stopped".into(), &"signal".into()));
    assert!(
        !result["verdicts"].to_string().contains(" of 200 ms"),
        "the shown run is complete: {}",
        result["verdicts"]
    );
    assert!(search["rate_per_second"].as_f64().unwrap() >= 40.0, "{search}");
    assert_eq!(search["rate_per_second"], result["load"]["rate_per_second"], "the result belongs to the rate found");
    assert_eq!(
        (&search["steps"][0]["verdict"], &search["steps"][0]["rate_per_second"]),
        (&"holds".into(), &40.0.into())
    );
}

#[test]
#[cfg(target_os = "linux")]
fn sigkill_also_ends_the_spawned_server() {
    let killed = endless(&[]);
    let (pid, server) = (killed.id(), child_of(killed.id()));
    killed.signal(Signal::KILL);
    drop(killed);
    await_end(&server);
    assert_no_children(pid);
}

#[test]
fn no_server_is_left_after_success_or_failure() {
    for (args, code) in [(&[][..], 0), (&["--payload=300", "--framing=u8"], 2)] {
        let mut program = Program::start(command(&[&super::BRIEF, args].concat()).stdout(Stdio::piped()));
        let pid = program.id();
        assert_eq!(program.wait().code(), Some(code));
        assert_no_children(pid);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn server_exit_during_the_run_is_reported() {
    let mut program = endless(&[]);
    let server = children_of(program.id()).pop().unwrap();
    send(&server, Signal::KILL);
    assert_eq!(program.wait().code(), Some(1));
    assert!(program.log().contains("the server exited during the run: signal: 9"));
}

#[test]
fn closed_stdout_exits_0() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut program = Program::start(command(&super::BRIEF).stdout(writer));
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn descriptor_limit_is_checked_before_the_run() {
    let mut shell = std::process::Command::new("sh");
    let script = "ulimit -n 60; exec \"$0\" bench echo --connections 100";
    let output = shell.args(["-c", script, env!("CARGO_BIN_EXE_switchboard")]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let says = "switchboard: too few file descriptors: 100 connections need 132, the limit of this process is 60; raise it with 'ulimit -n 132'";
    assert!(stderr.starts_with(says), "{stderr}");
}
