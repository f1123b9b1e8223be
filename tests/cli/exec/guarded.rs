//! Commands of a server that is killed, and the limits with which they start.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{ENGINES, Held, call, serve, text};
use crate::guard::guard;
use crate::program::{Program, Signal};

/// Neither a handler nor a destructor of the server runs.
#[test]
fn killed_server_leaves_no_command() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, address) = serve(&["--shell", "--timeout", "1h", "--engine", engine]);
        let (_socket, mut held) = hold(folder.path(), &address);
        server.signal(Signal::KILL);
        assert_eq!(server.wait().signal(), Some(9), "{engine}");
        held.expect_end();
    }
}

/// The second signal ends the server from its handler. The server is stopped when the signals
/// arrive, so it handles both before its loop sees the first.
#[test]
fn second_signal_leaves_no_command() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, address) = serve(&["--shell", "--timeout", "1h", "--engine", engine]);
        let (_socket, mut held) = hold(folder.path(), &address);
        for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::CONT] {
            server.signal(signal);
        }
        // The drain stops the command and may end before another thread handles the second signal.
        assert!([Some(0), Some(130), Some(143)].contains(&server.wait().code()), "{engine}");
        held.expect_end();
    }
}

/// Runs a command with two processes, which hold the FIFO open. It would also end with its
/// connection.
fn hold(folder: &Path, address: &str) -> (TcpStream, Held) {
    let mut held = Held::new(folder);
    let mut socket = TcpStream::connect(address).unwrap();
    let line = format!("exec 3> {}; echo begun >&3; sleep 1000 & sleep 1000", held.path.display());
    socket.write_all(line.as_bytes()).unwrap();
    held.expect_begun();
    (socket, held)
}

#[test]
#[cfg(target_os = "linux")]
fn guard_that_is_killed_is_replaced() {
    use rustix::process::kill_process;

    let (mut server, address) = serve(&["--shell"]);
    let guarded = |address: &str| call(address, &["--", "echo $(ulimit -Sn)"]).status.success();
    assert!(guarded(&address));
    let (first, first_exit) = guard_of(&server);
    kill_process(first, Signal::KILL).unwrap();
    await_exit(&first_exit);
    let folder = tempfile::tempdir().unwrap();
    let (_socket, mut held) = hold(folder.path(), &address);
    server.logged("exec: the guard process was killed");
    let (second, second_exit) = guard_of(&server);
    assert_ne!(first, second);
    server.signal(Signal::KILL);
    server.wait();
    held.expect_end();
    await_exit(&second_exit);
}

/// The guard process of a server, and a descriptor that is readable after its end.
#[cfg(target_os = "linux")]
fn guard_of(server: &Program) -> (rustix::process::Pid, std::os::fd::OwnedFd) {
    let is_guard = |process: &procfs::process::Process| {
        process.stat().is_ok_and(|stat| u32::try_from(stat.ppid) == Ok(server.id()) && stat.state != 'Z')
            && process.cmdline().is_ok_and(|words| words == ["exec-guard"])
    };
    let guard = procfs::process::all_processes().unwrap().flatten().find(is_guard).unwrap();
    let guard = rustix::process::Pid::from_raw(guard.pid).unwrap();
    (guard, rustix::process::pidfd_open(guard, rustix::process::PidfdFlags::empty()).unwrap())
}

#[cfg(target_os = "linux")]
fn await_exit(exit: &std::os::fd::OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec::try_from(guard()).unwrap();
    assert_eq!(poll(&mut [PollFd::new(exit, PollFlags::IN)], Some(&limit)), Ok(1));
}

/// The server raises its own limit. A command with more than 1,024 descriptors may fail in
/// select(2).
#[test]
fn command_has_the_descriptor_limit_of_the_server_at_its_start() {
    for engine in ENGINES {
        let program = env!("CARGO_BIN_EXE_switchboard");
        let line = format!("ulimit -Sn 100; exec {program} serve exec --shell --listen 127.0.0.1:0 --engine {engine}");
        let mut server = Program::start(Command::new("sh").args(["-c", &line]).stdout(Stdio::piped()));
        let address = server.address("tcp");
        let hard = Command::new("sh").args(["-c", "ulimit -Hn"]).output().unwrap();
        let output = call(&address, &["--", "ulimit -Sn; ulimit -Hn"]);
        assert_eq!(text(&output.stdout), format!("100\n{}", text(&hard.stdout)), "{engine}");
    }
}
