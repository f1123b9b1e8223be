//! The page that maps Python's `socket` module: everything that it promises to explain is there, its tables' rows are whole, and
//! its programs run.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Nothing waits for it to pass.
const GUARD: Duration = Duration::from_secs(20);

/// What a sockets course uses.
const CALLS: &[&str] = &[
    "socket",
    "bind",
    "listen",
    "accept",
    "connect",
    "connect_ex",
    "recv",
    "send",
    "sendall",
    "recvfrom",
    "sendto",
    "close",
    "getpeername",
    "getsockname",
    "setsockopt",
    "getsockopt",
    "settimeout",
    "gettimeout",
    "fileno",
    "setblocking",
    "makefile",
    "recv_into",
    "recvmsg",
    "sendmsg",
    "shutdown",
    "detach",
    "dup",
    "create_connection",
    "create_server",
    "getaddrinfo",
    "gethostbyname",
    "socketpair",
    "htons",
    "htonl",
    "ntohs",
    "ntohl",
    "inet_aton",
    "inet_ntoa",
    "inet_pton",
    "inet_ntop",
];

const CONSTANTS: &[&str] = &[
    "AF_INET",
    "AF_INET6",
    "AF_UNIX",
    "SOCK_STREAM",
    "SOCK_DGRAM",
    "SOCK_SEQPACKET",
    "SOCK_RDM",
    "SOCK_RAW",
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_KEEPALIVE",
    "TCP_NODELAY",
    "SO_LINGER",
    "SO_RCVBUF",
    "SO_SNDBUF",
    "SO_BROADCAST",
    "IP_ADD_MEMBERSHIP",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/sockets.md")).unwrap()
}

/// The cells of every row, without the tables' own lines.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Python"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The names in backticks, up to what follows a name.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

/// What has a row of its own, or the paragraph on options.
fn explained(page: &str) -> BTreeSet<&str> {
    let options = page.lines().find(|line| line.starts_with("`setsockopt`")).unwrap();
    rows(page).iter().flat_map(|row| names(row[0])).chain(names(options)).collect()
}

#[test]
fn every_call_family_type_and_option_has_its_row() {
    let page = page();
    let explained = explained(&page);
    let missing: Vec<_> = CALLS.iter().chain(CONSTANTS).filter(|name| !explained.contains(*name)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

/// What Python says itself that a socket can do.
#[test]
fn every_method_of_pythons_sockets_has_its_row() {
    let program = "import socket; print(*(name for name in dir(socket.socket) if name[0] != '_'))";
    let Ok(output) = Command::new("python3").args(["-c", program]).output() else {
        return eprintln!("no python3 here");
    };
    let (methods, page) = (String::from_utf8(output.stdout).unwrap(), page());
    let explained = explained(&page);
    assert!(methods.contains("recv"), "{methods}");
    let missing: Vec<_> = methods.split_whitespace().filter(|name| !explained.contains(name)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

#[test]
fn every_row_says_something_in_every_column() {
    let page = page();
    let mut columns = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if line.starts_with("| Python") {
            columns = cells.len();
        }
        assert_eq!(cells.len(), columns, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
    }
    assert!(rows(&page).len() > 60);
}

/// Where the code deals with something is where the page says.
#[test]
fn every_place_in_the_code_is_there() {
    let page = page();
    let places: Vec<_> = page.split('`').filter(|code| code.starts_with("src/") && *code != "src/").collect();
    assert!(places.len() > 15);
    for place in places {
        assert!(root().join(place).exists(), "{place} is not there");
    }
}

/// An echo server for so many clients, which sends a byte at a time.
fn slow_echo(clients: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..clients {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(GUARD)).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut message = [0; 9];
            stream.read_exact(&mut message).unwrap();
            message.chunks(1).for_each(|byte| stream.write_all(byte).unwrap());
            // It stays open until the client has had enough.
            let _ = stream.read(&mut message);
        }
    });
    addr
}

#[test]
fn the_three_clients_get_the_same_answer() {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap().join("examples/three_clients");
    let output = Command::new(example).arg(slow_echo(3).to_string()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "blocking: hello\npolled: hello\ndecoded: hello\n");
}

#[test]
fn the_page_begins_with_a_program_that_python_runs() {
    let page = page();
    let program = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let program = program.replace("7000", &slow_echo(1).port().to_string());
    let Ok(output) = Command::new("python3").args(["-c", &program]).output() else {
        return eprintln!("no python3 here");
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "b'hello'\n");
}
