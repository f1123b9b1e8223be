//! The log about peers at the default level: each fault with its address and reason, and a limit by
//! which no peer can fill the log.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::Stdio;

use crate::guard::guard;
use crate::program::{Program, Signal, command};
use crate::serving::{HELLO, assert_echoes, connect};

/// Faults of one cause in a test: more than the log shows of one cause at a time.
const MANY: usize = 50;

/// Ends the server. Returns its log.
fn log_of(mut server: Program) -> String {
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    server.log()
}

/// Asserts that the log has a line for each of these clients, or counts it in a line that ends with
/// `label`.
fn assert_all_logged(log: &str, clients: &[String], words: &str, label: &str) {
    let is_logged = |client: &&String| log.lines().any(|line| line.contains(*client) && line.contains(words));
    let shown = clients.iter().filter(is_logged).count();
    let left_out = log.lines().filter_map(|line| line.strip_suffix(label)?.rsplit(' ').next()?.parse().ok());
    let left_out: Vec<usize> = left_out.collect();
    assert_eq!(shown + left_out.iter().sum::<usize>(), clients.len(), "{words}:\n{log}");
    assert!(!left_out.is_empty() && shown >= 10, "{words}: {shown} shown:\n{log}");
}

/// Sends `bytes` and waits for the server's close. Returns the client's address.
fn rejected(address: &str, bytes: &[u8]) -> String {
    let mut client = connect(address);
    let local = client.local_addr().unwrap().to_string();
    client.write_all(bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    local
}

#[test]
fn faults_of_one_cause_are_limited_and_counted_and_hide_no_other() {
    for engine in ["reactor", "threads"] {
        let mut server = Program::serve(&["--engine", engine, "--listen", "127.0.0.1:0"]);
        let address = server.address("tcp");
        let text: Vec<_> = (0..MANY).map(|_| rejected(&address, b"hello\n")).collect();
        let cut = format!("echo {}", rejected(&address, b"\0\0\0\x09he"));
        let log = log_of(server);
        assert_all_logged(&log, &text, "frame too large", " more connections closed within 10s: bad frame");
        let line = log.lines().find(|line| line.contains("closed inside a frame")).unwrap();
        assert!(line.contains("WARN") && line.contains(&cut), "{engine}: {line}");
    }
}

#[test]
fn each_rejected_connection_is_logged_or_counted() {
    for engine in ["reactor", "threads"] {
        let args = ["--engine", engine, "--max-connections", "1", "--listen", "127.0.0.1:0"];
        let mut server = Program::serve(&args);
        let address = server.address("tcp");
        let first = connect(&address);
        assert_echoes(&first, HELLO);
        let reason = |client: &mut TcpStream| client.read_to_end(&mut Vec::new()).unwrap();
        let rejected = (0..MANY).map(|_| {
            let mut client = connect(&address);
            client.shutdown(Shutdown::Write).unwrap();
            assert!(reason(&mut client) > 0, "{engine}: rejected without the reason");
            client.local_addr().unwrap().to_string()
        });
        let rejected: Vec<_> = rejected.collect();
        drop(first);
        let label = " more connections rejected within 10s: too many connections";
        assert_all_logged(&log_of(server), &rejected, "rejected: server is full", label);
    }
}

#[test]
fn a_fault_of_a_chat_member_is_logged_with_the_nick() {
    for engine in ["reactor", "threads"] {
        let args = ["serve", "chat", "--engine", engine, "--listen", "127.0.0.1:0"];
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let mut client = connect(&server.address("tcp"));
        let hello = br#"{"type":"hello","nick":"eva"}"#;
        client.write_all(&[&29u32.to_be_bytes()[..], hello, b"\xff\xff\xff\xff"].concat()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
        let line = server.logged("frame too large");
        let peer = format!("chat {} (eva) closed: ", client.local_addr().unwrap());
        assert!(line.contains("WARN") && line.contains(&peer), "{engine}: {line}");
    }
}

#[test]
fn datagrams_over_the_limit_are_logged_and_counted() {
    for engine in ["reactor", "threads"] {
        let rate = ["--answers-per-second", "1"];
        let args = [&["serve", "upper", "--engine", engine, "--listen", "udp:127.0.0.1:0"], &rate[..]].concat();
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let address = server.address("udp");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..MANY).for_each(|_| _ = socket.send_to(b"hello", &address).unwrap());
        let line = server.logged("datagram not answered: more than 1 in a second");
        let peer = format!("upper {} ", socket.local_addr().unwrap());
        assert!(line.contains("WARN") && line.contains(&peer), "{engine}: {line}");
        let log = log_of(server);
        let stopped = log.lines().find(|line| line.contains("stopped: ")).unwrap();
        assert!(stopped.contains(" datagrams_limited=") && !stopped.contains(" datagrams_limited=0 "), "{stopped}");
    }
}

#[test]
fn a_rate_of_zero_answers_every_datagram() {
    for engine in ["reactor", "threads"] {
        let rate = ["--answers-per-second", "0"];
        let args = [&["serve", "upper", "--engine", engine, "--listen", "udp:127.0.0.1:0"], &rate[..]].concat();
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket.connect(server.address("udp")).unwrap();
        for _ in 0..1500 {
            socket.send(b"hello").unwrap();
            assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 5, "{engine}");
        }
    }
}

#[test]
fn rejected_requests_of_files_and_exec_are_limited_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    for engine in ["reactor", "threads"] {
        for (service, args, label) in [
            ("files", ["--dialect", "plain", "--root", root], " more lines within 10s: files rejected request"),
            ("exec", ["--dialect", "length", "--allow", "date"], " more lines within 10s: exec rejected request"),
        ] {
            let args = [&["serve", service, "--engine", engine, "--listen", "127.0.0.1:0"][..], &args].concat();
            let mut server = Program::start(command(&args).stdout(Stdio::piped()));
            let address = server.address("tcp");
            let clients: Vec<_> = (0..MANY).map(|_| rejected(&address, b"nothing")).collect();
            assert_all_logged(&log_of(server), &clients, "rejected", label);
        }
    }
}

#[test]
fn a_turn_over_the_limit_is_logged_with_what_took_the_time() {
    for engine in ["reactor", "threads"] {
        let args = ["--engine", engine, "--work-us", "30000", "--max-turn", "20ms", "--listen", "127.0.0.1:0"];
        let mut server = Program::serve(&args);
        let mut client = connect(&server.address("tcp"));
        let local = client.local_addr().unwrap();
        client.write_all(HELLO).unwrap();
        client.read_exact(&mut [0; HELLO.len()]).unwrap();
        let log = log_of(server);
        let line = log.lines().find(|line| line.contains("a turn took ")).unwrap_or_else(|| panic!("{engine}: {log}"));
        let expected = format!("in echo (step 5, on_frame) for {local}");
        assert!(line.contains("WARN") && line.contains(&expected), "{engine}: {line}");
    }
}
