//! Starting where something is in the way.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;

use crate::program::{Program, Signal, SocketPath, command, run};
use crate::serving::{assert_echoes, connect, connect_unix};

const HELLO: &[u8] = b"\0\0\0\x05hello";

/// Expects exit code 1 and one line that contains each of `says`.
fn assert_fails(args: &[&str], says: &[&str]) {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().last().unwrap_or_default();
    assert!(line.starts_with("switchboard: "), "{stderr}");
    for words in says {
        // How the system begins its own words is the system's affair.
        assert!(line.to_lowercase().contains(&words.to_lowercase()), "{stderr}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn unusable_address_has_advice() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let cannot = format!("cannot listen on tcp {address}: address already in use");
    assert_fails(&["serve", "echo", "--listen", &address], &[&cannot, "choose another port: --listen 127.0.0.1:0"]);

    let nowhere = "unix:/nonexistent/switchboard.sock";
    assert_fails(&["serve", "echo", "--listen", nowhere], &["cannot listen on unix /nonexistent/switchboard.sock"]);
    // An address reserved for documentation (RFC 5737), which no machine has.
    assert_fails(&["serve", "echo", "--listen", "192.0.2.1:0"], &["192.0.2.1:0", "does not have that address"]);
    // An empty label makes it no name at all, so that no name server is asked.
    assert_fails(
        &["serve", "echo", "--listen", "nobody..invalid:1"],
        &["cannot resolve nobody..invalid:1", "check the name"],
    );
}

#[test]
fn failed_start_removes_the_socket_file() {
    for engine in ["reactor", "threads"] {
        let (unix, holder) = (SocketPath::new(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = holder.local_addr().unwrap().to_string();
        assert_fails(
            &["serve", "echo", "--engine", engine, "--listen", &unix.listen(), "--listen", &address],
            &["address already in use"],
        );
        assert!(!unix.path().exists());
    }
}

/// Two servers that find the same abandoned socket file must not both replace it.
#[test]
fn one_of_two_servers_started_together_gets_the_socket() {
    for round in 0..20 {
        let unix = SocketPath::new();
        drop(std::os::unix::net::UnixListener::bind(unix.path()).unwrap());
        let start = || {
            let args = ["serve", "echo", "--listen", &unix.listen()];
            Program::start(command(&args).stdout(Stdio::piped()))
        };
        let (mut serving, mut failed) = (Vec::new(), Vec::new());
        for mut server in [start(), start()] {
            match server.line() {
                Some(_) => serving.push(server),
                None => failed.push(server),
            }
        }
        assert_eq!((serving.len(), failed.len()), (1, 1), "round {round}");
        let error = failed[0].log();
        assert!(error.to_lowercase().contains("address already in use; another server listens there"), "{error}");
        assert_eq!(failed[0].wait().code(), Some(1));
        assert_echoes(connect_unix(&unix.path().display().to_string()), HELLO);
        serving[0].signal(Signal::TERM);
        assert_eq!(serving[0].wait().code(), Some(0));
        assert!(!unix.path().exists());
    }
}

/// A server that starts while another stops keeps its own socket file.
#[test]
fn socket_file_of_a_successor_is_kept() {
    let unix = SocketPath::new();
    let args = ["serve", "echo", "--listen", &unix.listen()];
    let start = || Program::start(command(&args).stdout(Stdio::piped()));
    let mut server = start();
    server.address("unix");
    for _ in 0..10 {
        server.signal(Signal::TERM);
        let mut successor = loop {
            let mut successor = start();
            if successor.line().is_some() {
                break successor;
            }
        };
        assert_eq!(server.wait().code(), Some(0));
        assert_echoes(connect_unix(&unix.path().display().to_string()), HELLO);
        std::mem::swap(&mut server, &mut successor);
    }
}

#[test]
fn restart_reuses_a_port_in_time_wait() {
    let mut first = Program::serve(&["--listen", "127.0.0.1:0"]);
    let address = first.address("tcp");
    let mut client = connect(&address);
    assert_echoes(&client, HELLO);
    // The side that closes first is the one whose port stays in TIME_WAIT.
    first.signal(Signal::TERM);
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
    drop(client);
    assert_eq!(first.wait().code(), Some(0));

    let mut second = Program::serve(&["--listen", &address]);
    assert_eq!(second.address("tcp"), address);
    assert_echoes(connect(&address), HELLO);
}

#[test]
fn socket_file_of_a_killed_server_is_replaced() {
    let unix = SocketPath::new();
    let mut first = Program::serve(&["--listen", &unix.listen()]);
    first.address("unix");
    first.signal(Signal::KILL);
    first.wait();
    assert!(unix.path().exists());

    let mut second = Program::serve(&["--listen", &unix.listen()]);
    assert_echoes(connect_unix(&second.address("unix")), HELLO);
}

#[test]
fn socket_file_of_a_running_server_is_kept() {
    let unix = SocketPath::new();
    let mut first = Program::serve(&["--listen", &unix.listen()]);
    let path = first.address("unix");
    assert_fails(&["serve", "echo", "--listen", &unix.listen()], &["address already in use"]);
    assert_echoes(connect_unix(&path), HELLO);
}

#[test]
fn regular_file_at_a_socket_path_is_kept() {
    let unix = SocketPath::new();
    std::fs::write(unix.path(), "precious").unwrap();
    assert_fails(&["serve", "echo", "--listen", &unix.listen()], &["address already in use"]);
    assert_eq!(std::fs::read(unix.path()).unwrap(), b"precious");
}

#[test]
fn closed_stdout_is_not_a_failure() {
    let unix = SocketPath::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut server = Program::start(command(&["-v", "serve", "echo", "--listen", &unix.listen()]).stdout(writer));
    server.logged("standard output is closed");
    assert_echoes(connect_unix(&unix.path().display().to_string()), HELLO);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn closed_stderr_keeps_the_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command(&["serve", "echo", "--listen", "nonsense"]).stderr(writer).stdout(Stdio::null()).spawn();
    assert_eq!(child.as_mut().unwrap().wait().unwrap().code(), Some(2));
}
